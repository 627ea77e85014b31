import { hostname } from "node:os";
import { err, ok, type Result } from "@heddle/base";
import type { RequestHead } from "@heddle/http";
import { asBytes } from "../match/bytes.ts";
import { headerValue } from "../match/header-matcher.ts";

/** What a value of a header mutation may be made of. An `Exchange` is one. */
export interface HeaderFormatContext {
  readonly request: RequestHead;
  readonly downstream: {
    readonly directRemoteAddress: string;
    readonly remoteAddress: string;
    readonly remotePort: number;
    readonly localAddress: string;
    readonly localPort: number;
  };
  readonly startWallMs: number;
}

/** One command of a format. Undefined: there is no such value, and nothing is written in its place. */
export type HeaderCommand = (context: HeaderFormatContext) => string | undefined;

/**
 * The value of a `HeaderValueOption`, compiled: text with Envoy's `%COMMAND%` and `%COMMAND(argument):length%`; `%%` is a
 * per cent sign.
 */
export class HeaderFormat {
  readonly #parts: readonly (string | HeaderCommand)[];
  readonly #constant: string | undefined;

  constructor(parts: readonly (string | HeaderCommand)[]) {
    this.#parts = parts;
    this.#constant = parts.every((part) => typeof part === "string") ? parts.join("") : undefined;
  }

  format(context: HeaderFormatContext): string {
    if (this.#constant !== undefined) return this.#constant;
    let result = "";
    for (const part of this.#parts) result += typeof part === "string" ? part : (part(context) ?? "");
    return result;
  }
}

/** Reads a format. The error names the command that is unknown or malformed, and what is known. */
export function compileHeaderFormat(text: string): Result<HeaderFormat, string> {
  const parts: (string | HeaderCommand)[] = [];
  let at = 0;
  while (at < text.length) {
    const percent = text.indexOf("%", at);
    if (percent === -1) {
      parts.push(asBytes(text.slice(at)));
      break;
    }
    if (percent > at) parts.push(asBytes(text.slice(at, percent)));
    if (text[percent + 1] === "%") {
      parts.push("%");
      at = percent + 2;
      continue;
    }
    COMMAND.lastIndex = percent;
    const match = COMMAND.exec(text);
    if (match === null) return err(`"${text}": a % at ${percent} begins no command; write %% for a per cent sign`);
    const command = makeCommand(match[1]!, match[2], match[3] === undefined ? Infinity : Number(match[3]));
    if (!command.ok) return err(`"${text}": ${command.error}`);
    parts.push(command.value);
    at = COMMAND.lastIndex;
  }
  return ok(new HeaderFormat(parts));
}

const COMMAND = /%([A-Z0-9_]+)(?:\(([^)]*)\))?(?::([0-9]+))?%/y;

function makeCommand(name: string, argument: string | undefined, length: number): Result<HeaderCommand, string> {
  const make = COMMANDS[name];
  if (make === undefined) return err(`%${name}% is not known here; known are ${Object.keys(COMMANDS).join(", ")}`);
  const command = make(argument);
  if (command === undefined) {
    return err(argument === undefined ? `%${name}% needs an argument` : `%${name}(${argument})%: wrong argument`);
  }
  return ok(length === Infinity ? command : (context) => command(context)?.slice(0, length));
}

type CommandMaker = (argument: string | undefined) => HeaderCommand | undefined;

const COMMANDS: Readonly<Record<string, CommandMaker>> = {
  DOWNSTREAM_REMOTE_ADDRESS: plain(({ downstream: d }) => withPort(d.remoteAddress, d.remotePort)),
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: plain((context) => context.downstream.remoteAddress),
  DOWNSTREAM_REMOTE_PORT: plain((context) => String(context.downstream.remotePort)),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: plain((context) => context.downstream.directRemoteAddress),
  DOWNSTREAM_LOCAL_ADDRESS: plain(({ downstream: d }) => withPort(d.localAddress, d.localPort)),
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: plain((context) => context.downstream.localAddress),
  DOWNSTREAM_LOCAL_PORT: plain((context) => String(context.downstream.localPort)),
  PROTOCOL: plain((context) => PROTOCOL_NAMES[context.request.httpVersion]),
  HOSTNAME: plain(() => hostname()),
  REQ: requestHeader,
  START_TIME: startTime,
};

const PROTOCOL_NAMES = { "1.0": "HTTP/1.0", "1.1": "HTTP/1.1", "2": "HTTP/2" } as const;

function plain(command: HeaderCommand): CommandMaker {
  return (argument) => (argument === undefined ? command : undefined);
}

/** `%REQ(name)%`, or `%REQ(name?other)%`: the other where the first is missing. */
function requestHeader(argument: string | undefined): HeaderCommand | undefined {
  if (argument === undefined || argument === "") return undefined;
  const [name, other] = argument.toLowerCase().split("?", 2);
  return ({ request }) =>
    headerValue(request, name!) ?? (other === undefined ? undefined : headerValue(request, other));
}

/** ISO 8601 with milliseconds, or `%s` (seconds) and `%s%3f` (milliseconds) since the epoch. */
function startTime(argument: string | undefined): HeaderCommand | undefined {
  switch (argument) {
    case undefined:
      return (context) => new Date(context.startWallMs).toISOString();
    case "%s":
      return (context) => String(Math.floor(context.startWallMs / 1000));
    case "%s%3f":
      return (context) => String(Math.floor(context.startWallMs));
    default:
      return undefined;
  }
}

function withPort(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
