/** What a field means to the codec. `Ordinary` fields pass through. */
export const FieldKind = {
  Ordinary: 0,
  Host: 1,
  ContentLength: 2,
  TransferEncoding: 3,
  Connection: 4,
  KeepAlive: 5,
  ProxyConnection: 6,
  Upgrade: 7,
  Te: 8,
  Expect: 9,
} as const;
export type FieldKind = (typeof FieldKind)[keyof typeof FieldKind];

export interface FieldName {
  /** Lower case. */
  readonly name: string;
  readonly kind: FieldKind;
  /** As it was written, with the colon behind it. */
  readonly prefix: string;
}

/** Names with a meaning for the codec. */
const SPECIAL: Readonly<Record<string, FieldKind>> = {
  host: FieldKind.Host,
  "content-length": FieldKind.ContentLength,
  "transfer-encoding": FieldKind.TransferEncoding,
  connection: FieldKind.Connection,
  "keep-alive": FieldKind.KeepAlive,
  "proxy-connection": FieldKind.ProxyConnection,
  upgrade: FieldKind.Upgrade,
  te: FieldKind.Te,
  expect: FieldKind.Expect,
};

/** Names that are common enough to be found rather than checked and lowered each time. */
const COMMON =
  "accept accept-charset accept-encoding accept-language accept-ranges access-control-allow-credentials " +
  "access-control-allow-headers access-control-allow-methods access-control-allow-origin age allow authorization " +
  "cache-control content-disposition content-encoding content-language content-location content-range " +
  "content-security-policy content-type cookie date dnt etag expires forwarded from grpc-timeout if-match " +
  "if-modified-since if-none-match if-range if-unmodified-since last-modified link location origin pragma priority " +
  "range referer referrer-policy retry-after sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest " +
  "sec-fetch-mode sec-fetch-site sec-fetch-user sec-websocket-accept sec-websocket-extensions sec-websocket-key " +
  "sec-websocket-protocol sec-websocket-version server server-timing set-cookie strict-transport-security " +
  "traceparent tracestate trailer upgrade-insecure-requests user-agent vary via www-authenticate x-b3-sampled " +
  "x-b3-spanid x-b3-traceid x-content-type-options x-envoy-attempt-count x-envoy-decorator-operation " +
  "x-envoy-expected-rq-timeout-ms x-envoy-upstream-service-time x-forwarded-client-cert x-forwarded-for " +
  "x-forwarded-host x-forwarded-port x-forwarded-proto x-frame-options x-powered-by x-real-ip x-request-id " +
  "x-requested-with x-xss-protection";

/** Spellings that are neither all lower case nor a capital for each word. */
const UNUSUAL: Readonly<Record<string, string>> = { te: "TE", etag: "ETag" };

const KNOWN = knownNames();

/** The field of a name that is a token. */
export function fieldName(written: string): FieldName {
  const known = KNOWN.get(written);
  if (known !== undefined) return known;
  const name = written.toLowerCase();
  return { name, kind: KNOWN.get(name)?.kind ?? FieldKind.Ordinary, prefix: `${written}:` };
}

/** A name that is known, as it is written in most messages: all lower case, or each word with a capital. */
export function knownField(name: string): FieldName | undefined {
  return KNOWN.get(name);
}

function knownNames(): ReadonlyMap<string, FieldName> {
  const names = new Map<string, FieldName>();
  // Names that were keys are the very strings that code spells out, which makes their comparison one of pointers.
  const all = Object.keys({ ...SPECIAL, ...Object.fromEntries(COMMON.split(" ").map((name) => [name, 0])) });
  for (const name of all) {
    const kind = SPECIAL[name] ?? FieldKind.Ordinary;
    const capitals = name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());
    for (const written of [name, capitals, UNUSUAL[name] ?? name])
      names.set(written, { name, kind, prefix: `${written}:` });
  }
  return names;
}
