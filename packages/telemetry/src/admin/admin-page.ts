import type { Json } from "@heddle/base";

/** One path of the admin server. Pages are made by the parts' owners and handed over by the composition root. */
export interface AdminPage {
  readonly path: string;
  /** POST for what changes something. */
  readonly method: "GET" | "POST";
  /** One line for the list at `/`. */
  readonly help: string;
  answer(query: URLSearchParams): AdminAnswer;
}

export interface AdminAnswer {
  /** 200 where unset. */
  readonly status?: number;
  /** "text/plain; charset=utf-8" where unset. */
  readonly contentType?: string;
  readonly body: string;
}

export function jsonAnswer(json: Json): AdminAnswer {
  return { contentType: "application/json", body: `${JSON.stringify(json, null, 1)}\n` };
}
