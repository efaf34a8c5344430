import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { onCleanup } from "../harness/cleanup.ts";
import { within } from "../harness/wait.ts";

const listener = `
const server = require("node:net").createServer(() => {});
server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => console.log(server.address().port));
`;

/**
 * An address whose connections are never accepted: a stopped process listens there, and its queue
 * is full, so that the kernel lets further attempts go unanswered.
 */
export async function openBlackHole(): Promise<string> {
  const child = spawn(process.execPath, ["-e", listener], { stdio: ["ignore", "pipe", "inherit"] });
  onCleanup(() => child.kill("SIGKILL"));
  const [line] = (await within("the port", once(child.stdout, "data"))) as [Buffer];
  const port = Number(line.toString());
  child.kill("SIGSTOP");
  for (let i = 0; i < 8; i++) {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    onCleanup(() => socket.destroy());
  }
  return `http://127.0.0.1:${port}`;
}
