import { Buffer } from "node:buffer";
import { createServer, request as sendPlain } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { onCleanup } from "./cleanup.ts";

/** An HTTP proxy that remembers what it was asked for. */
export interface HttpProxy {
  readonly url: string;
  /** `CONNECT host:port` or `POST http://…`, in order. */
  readonly asked: readonly string[];
}

/** @param login `user:password` that it insists on */
export async function startHttpProxy(login?: string): Promise<HttpProxy> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const expected =
    login === undefined ? undefined : `Basic ${Buffer.from(login).toString("base64")}`;
  const server = createServer((incoming, outgoing) => {
    asked.push(`${incoming.method} ${incoming.url}`);
    const { "proxy-authorization": given, "proxy-connection": _, ...headers } = incoming.headers;
    if (given !== expected) {
      outgoing.writeHead(407).end();
      return;
    }
    const { method } = incoming;
    const onward = sendPlain(incoming.url ?? "", { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    incoming.pipe(onward);
  });
  server.on("connect", (incoming, socket: Socket) => {
    asked.push(`CONNECT ${incoming.url}`);
    if (incoming.headers["proxy-authorization"] !== expected) {
      socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
      return;
    }
    const [host = "", port = ""] = (incoming.url ?? "").split(":");
    const onward = connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      socket.pipe(onward).pipe(socket);
    });
    for (const one of [socket, onward]) one.on("error", () => one.destroy());
    sockets.add(onward);
  });
  server.on("connection", (socket) => void sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onCleanup(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const user = login === undefined ? "" : `${login}@`;
  return { url: `http://${user}127.0.0.1:${port}`, asked };
}
