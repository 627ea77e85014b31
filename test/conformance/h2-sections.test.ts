import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { cluster, inlineRoutes, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { headers, request } from "../harness/h2-frames.ts";
import { H2Peer } from "../harness/h2-peer.ts";
import { lastFirst } from "../harness/owner.ts";
import { startSidecar } from "../harness/sidecar.ts";
import { sections } from "./h2-sections.ts";
import { judgeSection, startSectionUpstream } from "./judge-section.ts";

const AT_ONCE = 8;

/*
 * A sidecar held to RFC 9113 and RFC 7541, section by section: what h2spec asks for, and more. h2spec itself is run by
 * `test/system/h2spec.test.ts`.
 */
describe("a sidecar's HTTP/2, section by section", () => {
  const suite = lastFirst({ after });
  const ports = { connection: 0, stream: 0 };
  before(async () => {
    const upstream = await startSectionUpstream(suite);
    const routes = inlineRoutes([virtualHost("*", "up")]);
    const override = { override_stream_error_on_invalid_http_message: true };
    const bootstrap = staticBootstrap(
      [
        listener({ name: "connection", routes, http: { codec_type: "HTTP2" } }),
        listener({ name: "stream", routes, http: { codec_type: "HTTP2", http2_protocol_options: override } }),
      ],
      [cluster("up", [upstream])],
    );
    const sidecar = await startSidecar(bootstrap, suite);
    ports.connection = await sidecar.port("connection");
    ports.stream = await sidecar.port("stream");
  });

  for (const ends of ["connection", "stream"] as const) {
    const cases = sections.filter(({ verdict }) => ends === "stream" || verdict.type === "malformed");
    test(`each of ${cases.length} cases gets what its section asks for; a malformed message ends its ${ends}`, async () => {
      const problems: string[] = [];
      let next = 0;
      const work = async (): Promise<void> => {
        for (let section = cases[next++]; section !== undefined; section = cases[next++]) {
          const { section: name, what } = section;
          await judgeSection(ports[ends], section, ends).catch((error: unknown) => {
            problems.push(`${name} ${what}: ${error instanceof Error ? error.message : String(error)}`);
          });
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, work));
      assert.deepEqual(problems, []);
    });
  }

  test("a preface that is none ends the connection", async (t) => {
    const peer = await H2Peer.connect(ports.connection, t, { silent: true });
    await peer.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\rX".padEnd(200, "x"));
    await peer.closed();
  });

  test("a first frame that is not SETTINGS is a connection error (RFC 9113 §3.4)", async (t) => {
    const peer = await H2Peer.connect(ports.connection, t, { silent: true });
    await peer.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", headers(1, request()));
    await peer.closed();
    assert.equal(peer.message(1).fields, undefined);
    assert.equal(peer.goAway?.code, 1);
  });
});
