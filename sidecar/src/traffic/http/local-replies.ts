import type { LocalReply } from "@heddle/filter";
import { HeaderMap, ResponseHead } from "@heddle/http";
import { type AccessLogFormat, compileFormat } from "@heddle/telemetry";
import {
  type AccessLogFilter,
  compileAccessLogFilter,
  compileHeaderMutations,
  type HeaderMutation,
  type LiveRuntime,
  type LocalReplyConfig,
  type LocalReplyFormat,
  type ResponseMapperConfig,
} from "@heddle/traffic";
import type { HttpExchange } from "./http-exchange.ts";

/**
 * `local_reply_config`, compiled: what becomes of answers that are made here. The first mapper whose filter matches may
 * change status, body and headers; then the body is put into its format (Envoy: source/common/local_reply).
 */
export class LocalReplies {
  readonly #mappers: readonly Mapper[];
  readonly #bodyFormat: BodyFormat | undefined;

  /** `random`: a whole number. Throws on a format that was not validated. */
  constructor(config: LocalReplyConfig, random: () => number, runtime?: LiveRuntime) {
    this.#mappers = config.mappers.map((mapper) => makeMapper(mapper, random, runtime));
    this.#bodyFormat = config.bodyFormat && makeBodyFormat(config.bodyFormat);
  }

  /** The answer in place of that one. Filters and formats see the exchange as if it had been given already. */
  rewrite(reply: LocalReply, exchange: HttpExchange): LocalReply {
    const headers = reply.headers?.clone() ?? new HeaderMap();
    const { logSource } = exchange;
    exchange.response = new ResponseHead(reply.status, headers);
    const mapper = this.#mappers.find(({ filter }) => filter(logSource));
    if (mapper?.body !== undefined) exchange.localReplyBody = mapper.body;
    for (const mutation of mapper?.headers ?? []) mutation.apply(headers, exchange);
    const status = mapper?.statusCode ?? reply.status;
    if (status !== reply.status) exchange.response = new ResponseHead(status, headers);
    const format = mapper?.bodyFormat ?? this.#bodyFormat;
    const body = format === undefined ? exchange.localReplyBody : format.write(logSource);
    // As Envoy: a body that was changed has the type of its format; one that was not keeps its own.
    const isChanged = body !== (reply.body ?? "");
    const contentType = isChanged ? (format?.contentType ?? TEXT) : reply.contentType;
    return { ...reply, status, body, headers, ...(contentType !== undefined && { contentType }) };
  }
}

interface Mapper {
  readonly filter: AccessLogFilter;
  readonly statusCode: number | undefined;
  readonly body: string | undefined;
  readonly bodyFormat: BodyFormat | undefined;
  readonly headers: readonly HeaderMutation[];
}

interface BodyFormat {
  readonly write: AccessLogFormat;
  readonly contentType: string;
}

const TEXT = "text/plain";
const JSON_TYPE = "application/json";

function makeMapper(config: ResponseMapperConfig, random: () => number, runtime: LiveRuntime | undefined): Mapper {
  const { statusCode, body, bodyFormatOverride } = config;
  return {
    filter: compileAccessLogFilter(config.filter, random, runtime),
    statusCode,
    body,
    bodyFormat: bodyFormatOverride && makeBodyFormat(bodyFormatOverride),
    headers: compileHeaderMutations([{ add: config.headersToAdd, remove: [] }]),
  };
}

function makeBodyFormat({ format, contentType }: LocalReplyFormat): BodyFormat {
  const write = compileFormat(format, "body");
  if (!write.ok) throw new Error(`local_reply_config: ${write.error}`);
  return { write: write.value, contentType: contentType || (format.type === "json" ? JSON_TYPE : TEXT) };
}
