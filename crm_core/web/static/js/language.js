// Sentences in the language of the page: before this script, one of its catalogue is loaded unless the page is English.
const { texts, plural } = self.catalogue ?? { texts: {}, plural: (n) => Number(n !== 1) };

export function _(message, values = {}) {
  return filled(texts[message] ?? message, values);
}

export function ngettext(one, many, n, values = {}) {
  return filled((texts[one] ?? [one, many])[plural(n)], { n, ...values });
}

const filled = (text, values) => text.replace(/\{([a-z_]+)\}/g, (place, name) => values[name] ?? place);
