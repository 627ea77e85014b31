import assert from "node:assert/strict";
import { test } from "node:test";
import { Live } from "@heddle/base";
import type { DataConfig, SecretConfig, UpstreamTlsConfig } from "@heddle/traffic";
import { applySecrets, type LiveSecrets, NO_SECRETS } from "./live-secrets.ts";
import { LiveTls } from "./live-tls.ts";

const data = (content: string): DataConfig => ({ source: "inline_string", name: "", content });
const ca = (content: string): SecretConfig => ({
  type: "validation",
  name: "ca",
  validation: { trustedCa: data(content), sanMatchers: [], spkiHashes: [], certificateHashes: [] } as never,
});

/** An end that is only the authorities it was made with, and how often one was made. */
function world(validationSecret?: { readonly from: "sds" | "static"; readonly name: string }) {
  const secrets: LiveSecrets = new Live(NO_SECRETS);
  const problems: string[] = [];
  let made = 0;
  const common = { certificates: [], ...(validationSecret && { validationSecret }) };
  const live = new LiveTls<UpstreamTlsConfig, string>(
    { common } as unknown as UpstreamTlsConfig,
    secrets,
    (config) => {
      made += 1;
      const content = config.common.validation?.trustedCa?.content ?? "";
      if (content === "bad") throw Object.assign(new Error("-----BEGIN SECRET"), { reason: "no start line" });
      return content;
    },
    (problem) => problems.push(problem),
  );
  const put = (name: string, secret: SecretConfig | undefined): void => {
    const key = { kind: "secret", name: `${validationSecret?.from ?? "sds"}/${name}` } as const;
    const changed = secret === undefined ? [] : [{ ...key, hash: "", value: secret }];
    const removed = secret === undefined ? [key] : [];
    applySecrets(secrets, { generation: 1, changed, removed, kinds: new Set(["secret"]) });
  };
  return { live, put, problems, made: () => made };
}

const NAMED = { from: "sds", name: "ca" } as const;

test("without secrets the end is made at once, and once", () => {
  const { live, put, made } = world();
  assert.equal(live.current, "");
  put("other", ca("x"));
  assert.equal(live.current, "");
  assert.equal(made(), 1);
});

test("there is no end before its secret has come; each change makes another, when it is asked for", () => {
  const { live, put, made } = world(NAMED);
  assert.equal(live.current, undefined);
  put("ca", ca("one"));
  assert.equal(made(), 0);
  assert.equal(live.current, "one");
  put("ca", ca("two"));
  put("ca", ca("three"));
  assert.equal(live.current, "three");
  assert.equal(live.current, "three");
  assert.equal(made(), 2);
});

test("secrets of others make nothing anew", () => {
  const { live, put, made } = world(NAMED);
  put("ca", ca("one"));
  assert.equal(live.current, "one");
  put("other", ca("x"));
  assert.equal(live.current, "one");
  assert.equal(made(), 1);
});

test("one that is gone, or of no use, leaves the last end; the problem is told once and shows nothing", () => {
  const { live, put, problems } = world(NAMED);
  put("ca", ca("bad"));
  assert.equal(live.current, undefined, "fails closed before the first");
  put("ca", ca("good"));
  assert.equal(live.current, "good");
  put("ca", ca("bad"));
  assert.equal(live.current, "good");
  assert.equal(live.current, "good");
  put("ca", { type: "generic", name: "ca", secret: undefined });
  assert.equal(live.current, "good");
  put("ca", undefined);
  assert.equal(live.current, "good");
  assert.deepEqual(problems, ["no start line", "no start line", 'the secret "ca" holds no validation_context']);
});

test("one of the process's own that is withdrawn leaves no end: what has expired lets nobody in", () => {
  const { live, put, problems, made } = world({ from: "static", name: "ca" });
  assert.equal(live.current, undefined);
  put("ca", ca("one"));
  assert.equal(live.current, "one");
  put("ca", undefined);
  assert.equal(live.current, undefined);
  put("other", ca("x"));
  assert.equal(live.current, undefined);
  put("ca", ca("two"));
  assert.equal(live.current, "two");
  assert.equal(made(), 2);
  assert.deepEqual(problems, []);
});
