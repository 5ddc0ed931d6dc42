"""The product is compared with this: a stock Quart application on the same server library.

``python -m benchmarks.stock PORT``. ``GET /hello`` answers a small JSON object, ``POST /read`` reads the body.
"""

from __future__ import annotations

import sys

import uvicorn
from quart import Quart, request

app = Quart("stock")


@app.get("/hello")
async def hello() -> dict[str, str]:
    return {"hello": "world"}


@app.post("/read")
async def read() -> dict[str, int]:
    return {"size": len(await request.get_data())}


if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools",
        access_log=False, log_level="error", lifespan="on",
    )  # fmt: skip
