import type { Json } from "@heddle/base";
import { jsonPieces, type StreamedJson } from "../json-pieces.ts";

/** One path of the admin server. Pages are made by the parts' owners and handed over by the composition root. */
export interface AdminPage {
  readonly path: string;
  /** POST for what changes something. */
  readonly method: "GET" | "POST";
  /** One line for the list at `/help`. */
  readonly help: string;
  /** What it understands behind the question mark, for the list and for the form at `/`. */
  readonly params?: readonly AdminParam[];
  /** Of a POST page: whether GET shows something as well as long as nothing stands behind the question mark. */
  readonly showsWithGet?: boolean;
  /** `query` holds the fields of a form, too, where one was posted. */
  answer(query: URLSearchParams): AdminAnswer | Promise<AdminAnswer>;
}

export interface AdminParam {
  readonly name: string;
  readonly help: string;
  /** What it may be; anything where left out. Empty: it is there or it is not. */
  readonly values?: readonly string[];
}

export interface AdminAnswer {
  /** 200 where unset. */
  readonly status?: number;
  /** "text/plain; charset=utf-8" where unset. */
  readonly contentType?: string;
  /**
   * Pieces are made while they are sent, some milliseconds of work at a time, and no faster than they are taken: for what grows with
   * the configuration. An empty one is a place to pause.
   */
  readonly body: string | Iterable<string>;
}

export function jsonAnswer(json: Json): AdminAnswer {
  return { contentType: "application/json", body: `${JSON.stringify(json, null, 1)}\n` };
}

/** The same, written while it is made. */
export function streamedJsonAnswer(json: StreamedJson): AdminAnswer {
  return { contentType: "application/json", body: withNewLine(jsonPieces(json)) };
}

function* withNewLine(pieces: Iterable<string>): Generator<string> {
  yield* pieces;
  yield "\n";
}
