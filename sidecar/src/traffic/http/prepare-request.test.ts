import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defaultManners, type HttpConnectionManagerConfig, type HttpManners } from "@heddle/traffic";
import { Harness } from "./testing-harness.ts";

type Options = Partial<HttpConnectionManagerConfig> & { readonly with?: Partial<HttpManners> };

interface Passed {
  /** What the client got; "" while the upstream has the request. */
  readonly answer: string;
  /** The request's head as the upstream got it; "" if it never did. */
  readonly request: string;
  readonly details: string;
  value(name: string): number;
}

function pass(options: Options, request: string): Passed {
  const { with: manners, ...manager } = options;
  const harness = new Harness({ manager: { ...manager, manners: { ...defaultManners, ...manners } } });
  const client = harness.connect();
  client.send(request);
  harness.run();
  const answer = client.take();
  const head = harness.upstreams[0]?.take() ?? "";
  client.destroy();
  harness.run();
  assert.equal(harness.leaks(), "");
  const details = harness.logged[0]?.responseCodeDetails ?? "";
  return { answer, request: head, details, value: (name) => harness.value(`http.${name}`) };
}

function get(target: string, host = "a", lines = ""): string {
  return `GET ${target} HTTP/1.1\r\nhost: ${host}\r\n${lines}\r\n`;
}

describe("the path", () => {
  const ALL: Options = { normalizePath: true, mergeSlashes: true };

  test("is in its normal form before anything matches it", () => {
    assert.match(pass(ALL, get("/x/../%61//b?c=/../")).request, /^GET \/a\/b\?c=\/\.\.\/ /);
    assert.match(pass({}, get("/x/../%61//b")).request, /^GET \/x\/\.\.\/%61\/\/b /);
  });

  test("that has no normal form is refused, and counted", () => {
    const refused = pass(ALL, get("/a%00"));
    assert.match(refused.answer, /^HTTP\/1\.1 400 /);
    assert.equal(refused.details, "path_normalization_failed");
    assert.equal(refused.value("downstream_rq_failed_path_normalization"), 1);
  });

  test("with escaped slashes is kept, refused, redirected or changed, as told", () => {
    const act = (pathWithEscapedSlashesAction: HttpConnectionManagerConfig["pathWithEscapedSlashesAction"]): Passed =>
      pass({ pathWithEscapedSlashesAction }, get("/a%2fb"));
    assert.match(act("KEEP_UNCHANGED").request, /^GET \/a%2fb /);
    assert.match(act("REJECT_REQUEST").answer, /^HTTP\/1\.1 400 /);
    assert.match(act("UNESCAPE_AND_FORWARD").request, /^GET \/a\/b /);
    const redirected = act("UNESCAPE_AND_REDIRECT");
    assert.match(redirected.answer, /^HTTP\/1\.1 307 (?:.*\r\n)*location: \/a\/b\r\n/);
    assert.equal(redirected.value("downstream_rq_redirected_with_normalized_path"), 1);
  });

  test("is not redirected to another host, and not at all for gRPC", () => {
    const options: Options = { pathWithEscapedSlashesAction: "UNESCAPE_AND_REDIRECT" };
    for (const target of ["/%2fevil.example/x", "/%5cevil.example/x"]) {
      assert.match(pass(options, get(target)).answer, /\r\nlocation: http:\/\/a\/[/\\]evil\.example\/x\r\n/);
    }
    const grpc = pass(options, get("/a%2fb", "a", "content-type: application/grpc\r\n"));
    assert.match(grpc.answer, /^HTTP\/1\.1 200 .*\r\ngrpc-status: 13\r\n/s); // what 400 stands for
  });

  test("of OPTIONS for the whole server is none, and of an absolute target only where that is allowed", () => {
    const relative: Options = { with: { allowAbsoluteUrl: false } };
    assert.match(pass({}, get("http://b/x")).request, /^GET \/x HTTP\/1\.1\r\nhost: b\r\n/);
    const refused = pass(relative, get("http://b/x"));
    assert.match(refused.answer, /^HTTP\/1\.1 404 /);
    assert.equal(refused.details, "absolute_path_rejected");
    assert.equal(refused.value("downstream_rq_non_relative_path"), 1);
    assert.match(pass(relative, get("/x")).request, /^GET \/x /);
  });
});

describe("the scheme", () => {
  test("of an absolute target may not be https on a plaintext connection from outside", () => {
    const refused = pass({ useRemoteAddress: true }, get("https://b/"));
    assert.match(refused.answer, /^HTTP\/1\.1 403 /);
    assert.match(refused.answer, /\r\n\r\nForbidden$/);
    assert.equal(refused.details, "http1.https_url_on_plaintext_connection");
    assert.match(pass({ useRemoteAddress: true }, get("http://b/")).request, /^GET \/ /);
    assert.match(pass({ useRemoteAddress: true, xffNumTrustedHops: 1 }, get("https://b/")).request, /^GET \/ /);
    assert.match(pass({}, get("https://b/")).request, /\r\nx-forwarded-proto: http\r\n/);
  });
});

describe("the host", () => {
  const hostOf = (options: Options, host: string): string | undefined =>
    /\r\nhost: (.*)\r\n/.exec(pass(options, get("/", host)).request)?.[1];

  test("loses its port as told: any, or the listener's own", () => {
    assert.equal(hostOf({}, "a:15001"), "a:15001");
    assert.equal(hostOf({ stripPort: "any" }, "a:1"), "a");
    assert.equal(hostOf({ stripPort: "any" }, "[::1]:1"), "[::1]");
    assert.equal(hostOf({ stripPort: "any" }, "[::1]"), "[::1]");
    assert.equal(hostOf({ stripPort: "matching" }, "a:15001"), "a");
    assert.equal(hostOf({ stripPort: "matching" }, "a:1"), "a:1");
  });

  test("loses its last dot where told, in front of the port as well", () => {
    const options: Options = { with: { stripTrailingHostDot: true } };
    assert.equal(hostOf({}, "a.b."), "a.b.");
    assert.equal(hostOf(options, "a.b."), "a.b");
    assert.equal(hostOf(options, "a.b.:81"), "a.b:81");
    assert.equal(hostOf({ ...options, stripPort: "any" }, "a.b.:81"), "a.b");
  });
});

describe("early header mutations", () => {
  test("come in their order, and before headers are read for where the request came from", () => {
    const option = (name: string, value: string) =>
      ({ name, value, appendAction: "OVERWRITE_IF_EXISTS_OR_ADD", keepEmptyValue: false }) as const;
    const { request } = pass(
      {
        with: {
          earlyHeaderMutations: [
            { type: "append", option: option("x-a", "1") },
            { type: "remove", header: "x-a" },
            { type: "append", option: option("x-request-id", "%REQ(x-trace)%") },
          ],
        },
      },
      get("/", "a", "x-a: 0\r\nx-trace: mine\r\n"),
    );
    assert.doesNotMatch(request, /x-a:/);
    assert.match(request, /\r\nx-request-id: mine\r\n/);
  });
});

test("a request whose client address is not told is refused where that is wished, and counted", () => {
  const detection = { type: "custom-header", header: "x-client", trusted: false, rejectStatus: 401 } as const;
  const refused = pass({ with: { originalIpDetection: [detection] } }, get("/"));
  assert.match(refused.answer, /^HTTP\/1\.1 401 /);
  assert.equal(refused.details, "rejecting_because_detection_failed");
  assert.equal(refused.value("downstream_rq_rejected_via_ip_detection"), 1);
});
