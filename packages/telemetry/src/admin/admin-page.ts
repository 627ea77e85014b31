import type { Json } from "@heddle/base";

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
  readonly body: string;
}

export function jsonAnswer(json: Json): AdminAnswer {
  return { contentType: "application/json", body: `${JSON.stringify(json, null, 1)}\n` };
}
