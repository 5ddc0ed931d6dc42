// Signs a push with a library from npm and prints the headers as JSON.
// Usage: node clients.mjs LIBRARY < {"body", "url", "key_base64", "keyid", "id", "timestamp"}
import { createRequire } from "node:module";
import { createHash } from "node:crypto";

const require = createRequire(process.env.NODE_CLIENTS + "/package.json");
const told = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const date = new Date(told.timestamp * 1000);

function webhook(library) {
  const { Webhook } = require(library);
  const signature = new Webhook("whsec_" + told.key_base64).sign(told.id, date, told.body);
  const name = library === "svix" ? "svix" : "webhook";
  return { "webhook-id": told.id, "webhook-timestamp": String(told.timestamp), "webhook-signature": signature, name };
}

async function messageSignature() {
  const { httpbis, createSigner } = require("http-message-signatures");
  const digest = createHash("sha256").update(told.body).digest("base64");
  const signed = await httpbis.signMessage(
    {
      key: createSigner(Buffer.from(told.key_base64, "base64"), "hmac-sha256", told.keyid),
      name: "sync",
      fields: ["@method", "@path", "content-digest", "content-type"],
      params: ["created", "keyid", "alg", "nonce"],
      paramValues: { created: date, nonce: told.id },
    },
    {
      method: "POST",
      url: told.url,
      headers: { "Content-Type": "application/json", "Content-Digest": `sha-256=:${digest}:` },
    },
  );
  return signed.headers;
}

const [library] = process.argv.slice(2);
const headers = library === "http-message-signatures" ? await messageSignature() : webhook(library);
delete headers.name;
console.log(JSON.stringify(headers));
