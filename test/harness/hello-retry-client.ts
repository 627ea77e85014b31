import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  randomBytes,
} from "node:crypto";
import { connect } from "node:net";

/**
 * A client of TLS 1.3 (AES-128-GCM with SHA-256, X25519) that no library offers: it makes the server ask for a second ClientHello
 * (RFC 8446 §4.1.4), and asks for another server name in it. It verifies nothing. Resolves with what the server says once the
 * handshake is over, until it closes; "alert N" where it ends before.
 */
export function helloRetryClient(port: number, firstName: string, secondName: string): Promise<string> {
  const random = randomBytes(32);
  const sessionId = randomBytes(32);
  const pair = generateKeyPairSync("x25519");
  const share = pair.publicKey.export({ type: "spki", format: "der" }).subarray(-32);
  const hello = (name: string, shares: Buffer): Buffer => {
    const extensions = Buffer.concat([
      extension(0, vector(2, Buffer.concat([byte(0), vector(2, Buffer.from(name))]))),
      extension(10, vector(2, word(X25519))),
      extension(13, vector(2, Buffer.concat([word(0x0403), word(0x0804)]))),
      extension(43, vector(1, word(0x0304))),
      extension(51, vector(2, shares)),
    ]);
    const suites = vector(2, word(0x1301));
    return message(
      1,
      Buffer.concat([word(0x0303), random, vector(1, sessionId), suites, vector(1, byte(0)), vector(2, extensions)]),
    );
  };
  const first = hello(firstName, Buffer.alloc(0));
  const second = hello(secondName, Buffer.concat([word(X25519), vector(2, share)]));

  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let state: "retry" | "hello" | "flight" | "data" = "retry";
    let transcript = Buffer.alloc(0);
    let [handshake, client, opens]: [Buffer, Buffer, Opener] = [EMPTY, EMPTY, opener(EMPTY)];
    let flight = Buffer.alloc(0);
    let text = "";
    const onRecord = (type: number, body: Buffer, header: Buffer): void => {
      if (type === CHANGE_CIPHER_SPEC) return;
      if (type === ALERT) {
        text = `alert ${body[1]}`;
        socket.destroy();
      } else if (state === "retry") {
        transcript = Buffer.concat([message(254, hash(first)), body, second]);
        socket.write(Buffer.concat([record(CHANGE_CIPHER_SPEC, byte(1)), record(HANDSHAKE, second)]));
        state = "hello";
      } else if (state === "hello") {
        transcript = Buffer.concat([transcript, body]);
        const publicKey = createPublicKey({
          key: Buffer.concat([X25519_SPKI, shareOf(body)]),
          format: "der",
          type: "spki",
        });
        const early = hmac(ZEROS, ZEROS);
        handshake = hmac(
          expand(early, "derived", hash(EMPTY), 32),
          diffieHellman({ privateKey: pair.privateKey, publicKey }),
        );
        client = expand(handshake, "c hs traffic", hash(transcript), 32);
        opens = opener(expand(handshake, "s hs traffic", hash(transcript), 32));
        state = "flight";
      } else {
        const inner = opens(body, header);
        if (inner.type === ALERT) socket.end();
        else if (state === "data") text += inner.type === APPLICATION_DATA ? inner.content.toString() : "";
        else {
          flight = Buffer.concat([flight, inner.content]);
          if (!isWhole(flight)) return;
          transcript = Buffer.concat([transcript, flight]);
          const master = hmac(expand(handshake, "derived", hash(EMPTY), 32), ZEROS);
          opens = opener(expand(master, "s ap traffic", hash(transcript), 32));
          const finished = hmac(expand(client, "finished", EMPTY, 32), hash(transcript));
          socket.write(sealed(client, HANDSHAKE, message(FINISHED, finished)));
          state = "data";
        }
      }
    };
    let left = Buffer.alloc(0);
    socket.on("data", (bytes: Buffer) => {
      left = Buffer.concat([left, bytes]);
      while (left.length >= 5 && left.length >= 5 + left.readUInt16BE(3)) {
        const [header, body] = [left.subarray(0, 5), left.subarray(5, 5 + left.readUInt16BE(3))];
        left = left.subarray(5 + body.length);
        onRecord(header[0]!, body, header); // five bytes
      }
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(text));
    socket.write(record(HANDSHAKE, first));
  });
}

const X25519 = 0x001d;
const X25519_SPKI = Buffer.from("302a300506032b656e032100", "hex");
const CHANGE_CIPHER_SPEC = 20;
const ALERT = 21;
const HANDSHAKE = 22;
const APPLICATION_DATA = 23;
const FINISHED = 20;
const EMPTY = Buffer.alloc(0);
const ZEROS = Buffer.alloc(32);

function byte(value: number): Buffer {
  return Buffer.from([value]);
}

function word(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

function vector(width: 1 | 2, content: Buffer): Buffer {
  return Buffer.concat([width === 1 ? byte(content.length) : word(content.length), content]);
}

function extension(type: number, content: Buffer): Buffer {
  return Buffer.concat([word(type), vector(2, content)]);
}

function message(type: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type, 0]), vector(2, body)]);
}

function record(type: number, body: Buffer): Buffer {
  return Buffer.concat([byte(type), word(0x0303), vector(2, body)]);
}

function hash(bytes: Buffer): Buffer {
  return createHash("sha256").update(bytes).digest();
}

function hmac(key: Buffer, bytes: Buffer): Buffer {
  return createHmac("sha256", key).update(bytes).digest();
}

/** HKDF-Expand-Label (RFC 8446 §7.1), of at most one block. */
function expand(secret: Buffer, label: string, context: Buffer, length: number): Buffer {
  const info = Buffer.concat([word(length), vector(1, Buffer.from(`tls13 ${label}`)), vector(1, context)]);
  return hmac(secret, Buffer.concat([info, byte(1)])).subarray(0, length);
}

/** The key share of a ServerHello. */
function shareOf(hello: Buffer): Buffer {
  let at = 4 + 2 + 32;
  at += 1 + hello[at]! + 2 + 1 + 2; // session id, suite, compression, length
  while (hello.readUInt16BE(at) !== 51) at += 4 + hello.readUInt16BE(at + 2);
  return hello.subarray(at + 8, at + 4 + hello.readUInt16BE(at + 2));
}

/** Whether the server's flight ends with its Finished. */
function isWhole(flight: Buffer): boolean {
  for (let at = 0; at + 4 <= flight.length; ) {
    const end = at + 4 + flight.readUIntBE(at + 1, 3);
    if (flight[at] === FINISHED) return end <= flight.length;
    at = end;
  }
  return false;
}

type Opener = (body: Buffer, header: Buffer) => { readonly type: number; readonly content: Buffer };

function opener(secret: Buffer): Opener {
  let sequence = 0;
  return (body, header) => {
    const nonce = Buffer.from(expand(secret, "iv", EMPTY, 12));
    nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ sequence++) >>> 0, 8);
    const cipher = createDecipheriv("aes-128-gcm", expand(secret, "key", EMPTY, 16), nonce);
    cipher.setAAD(header).setAuthTag(body.subarray(-16));
    const plain = Buffer.concat([cipher.update(body.subarray(0, -16)), cipher.final()]);
    let end = plain.length - 1;
    while (plain[end] === 0) end--;
    return { type: plain[end] ?? 0, content: plain.subarray(0, end) };
  };
}

/** The first record under a secret. */
function sealed(secret: Buffer, type: number, content: Buffer): Buffer {
  const header = Buffer.concat([byte(APPLICATION_DATA), word(0x0303), word(content.length + 17)]);
  const cipher = createCipheriv("aes-128-gcm", expand(secret, "key", EMPTY, 16), expand(secret, "iv", EMPTY, 12));
  cipher.setAAD(header);
  return Buffer.concat([
    header,
    cipher.update(Buffer.concat([content, byte(type)])),
    cipher.final(),
    cipher.getAuthTag(),
  ]);
}
