import type { Jwt } from "./parse-jwt.ts";

/** Tokens whose signature has been verified, the one that was used last behind all others. */
export class TokenCache {
  readonly #most: number;
  readonly #maxCharacters: number;
  readonly #tokens = new Map<string, Jwt>();

  constructor({ tokens, maxTokenCharacters }: { readonly tokens: number; readonly maxTokenCharacters: number }) {
    this.#most = tokens;
    this.#maxCharacters = maxTokenCharacters;
  }

  get(text: string): Jwt | undefined {
    const known = this.#tokens.get(text);
    if (known === undefined) return undefined;
    this.#tokens.delete(text);
    this.#tokens.set(text, known);
    return known;
  }

  put(jwt: Jwt): void {
    if (jwt.text.length > this.#maxCharacters) return;
    if (this.#tokens.size >= this.#most) {
      const [oldest = ""] = this.#tokens.keys();
      this.#tokens.delete(oldest);
    }
    this.#tokens.set(jwt.text, jwt);
  }

  delete(text: string): void {
    this.#tokens.delete(text);
  }

  clear(): void {
    this.#tokens.clear();
  }

  get size(): number {
    return this.#tokens.size;
  }
}
