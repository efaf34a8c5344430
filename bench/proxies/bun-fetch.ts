/** The least a Bun proxy can do: what the ratios of the bench are taken to. */
const upstream = process.env.UPSTREAM ?? "";

Bun.serve({
  port: Number(process.env.PORT),
  hostname: "127.0.0.1",
  idleTimeout: 255,
  maxRequestBodySize: 64 << 20,
  async fetch(request) {
    const path = request.url.slice(request.url.indexOf("/", 8));
    const reply = await fetch(upstream + path, {
      method: request.method,
      ...(request.method === "POST" && { body: await request.arrayBuffer() }),
      headers: {
        "content-type": request.headers.get("content-type") ?? "application/json",
        authorization: "Bearer upstream",
      },
      signal: request.signal,
    });
    return new Response(reply.body, {
      status: reply.status,
      headers: {
        "content-type": reply.headers.get("content-type") ?? "",
        "x-request-id": reply.headers.get("x-request-id") ?? "",
      },
    });
  },
});
