import { fieldOf, type Message, toNumber } from "./message.ts";

/*
 * Fields of decoded messages by their proto names (snake_case), with proto3's defaults where they are not set. What is read
 * is not checked against the descriptor: the caller names a field of that kind.
 */

/** A string; "" where it is not set. */
export function textOf(message: Message, name: string): string {
  return (fieldOf(message, name) ?? "") as string;
}

/** A list of strings. */
export function textsOf(message: Message, name: string): readonly string[] {
  return (fieldOf(message, name) ?? []) as readonly string[];
}

/** A number of any width; 0 where it is not set. Above 2^53 the nearest one. */
export function numberOf(message: Message, name: string): number {
  return toNumber(fieldOf(message, name) ?? 0);
}

/** A bool; false where it is not set. */
export function flagOf(message: Message, name: string): boolean {
  return fieldOf(message, name) === true;
}

/** Bytes; empty where they are not set. */
export function bytesOf(message: Message, name: string): Uint8Array {
  return (fieldOf(message, name) ?? new Uint8Array()) as Uint8Array;
}

/** A message; undefined where it is not set. */
export function messageOf(message: Message, name: string): Message | undefined {
  return fieldOf(message, name) as Message | undefined;
}

/** A list of messages. */
export function messagesOf(message: Message, name: string): readonly Message[] {
  return (fieldOf(message, name) ?? []) as readonly Message[];
}
