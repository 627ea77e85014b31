import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { bytesOf } from "./echo-server.ts";
import type { LoadResult, RunningLoad } from "./load.ts";
import type { Owner } from "./owner.ts";

/**
 * What `startLoad` does, over HTTP/2: connections with several streams each at a time, one request behind the other, until
 * stopped. A client as it should be: after a GOAWAY it begins no stream on that connection and dials another; it sends
 * nothing a second time, so a lost exchange is a failure, and so is a stream that is refused.
 */
export function startHttp2Load(url: string, connections: number, streams: number, owner: Owner): RunningLoad {
  const failures = new Map<string, number>();
  const recent: string[] = [];
  const sessions = new Set<ClientHttp2Session>();
  let requests = 0;
  let stopping = false;

  async function connection(): Promise<void> {
    while (!stopping) {
      const session = connect(url);
      sessions.add(session);
      let usable = true;
      session.on("error", () => {}); // its streams tell
      session.on("goaway", () => (usable = false));
      session.on("close", () => {
        usable = false;
        sessions.delete(session);
      });
      const exchanges = async (): Promise<void> => {
        while (usable && !stopping) await exchange(session);
      };
      await Promise.all(Array.from({ length: streams }, exchanges));
      session.close();
    }
  }

  async function exchange(session: ClientHttp2Session): Promise<void> {
    const stream = session.request({ ":path": "/" });
    // What Node is asked for it sends a turn of its loop later, and not at all where a GOAWAY comes between. It says so with
    // this event alone, and resets the stream by itself with REFUSED_STREAM: no server has seen it.
    let unsent = false;
    stream.on("frameError", () => (unsent = true));
    const failure = await answerTo(stream).catch(
      (error: NodeJS.ErrnoException) => `${error.code ?? ""} ${error.message}`,
    );
    if (unsent) return;
    requests += 1;
    if (failure !== undefined) failures.set(failure, (failures.get(failure) ?? 0) + 1);
  }

  async function answerTo(stream: ClientHttp2Stream): Promise<string | undefined> {
    const [headers] = (await once(stream, "response")) as [{ ":status"?: number }];
    const body = String(await bytesOf(stream));
    if (stream.rstCode !== 0) return `reset with ${stream.rstCode}`;
    recent.push(body);
    if (recent.length > 200) recent.shift();
    return headers[":status"] === 200 ? undefined : `${headers[":status"]} ${body.slice(0, 120)}`;
  }

  const running = Promise.all(Array.from({ length: connections }, connection));
  const stop = async (): Promise<LoadResult> => {
    stopping = true;
    await running;
    return { requests, failures };
  };
  owner.after(async () => {
    for (const session of sessions) session.destroy();
    await stop();
  });
  return {
    recent,
    get count() {
      return requests;
    },
    stop,
  };
}
