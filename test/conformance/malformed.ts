/* Pieces of messages that no recipient may take, for requests and responses alike. A character is a byte. */

/** Parts the values of a list: a character that is no byte. */
export const PART = "‖";
/** Short, for the name of a case. */
export const show = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);

const LAST = "0\r\n\r\n";

/** Values of Transfer-Encoding that do not say where the body ends. */
export const unclearCodings: readonly string[] = [
  "",
  " ",
  ..."xchunked‖chunkedx‖chunk‖identity‖gzip‖chunked, identity‖chunked, gzip‖chunked,chunked‖chunked, chunked‖chunked,‖,chunked‖, chunked‖chunked;‖chunked;q=1‖chunked; a=b‖\"chunked\"‖'chunked'‖(chunked)‖chunked()‖chun ked‖chunked chunked‖chunked\tx‖x\tchunked‖x chunked‖=chunked‖chunked=‖:chunked‖[chunked]‖chunked\x85‖\x85chunked‖\xa0chunked‖chunked\xa0‖\xefchunked‖chunked\xff‖\xc2\xa0chunked‖chunked\\‖CHUNKED,".split(
    PART,
  ),
];

/** Values of Transfer-Encoding that are clear, and of no use. */
export const unknownCodings: readonly string[] = "gzip, chunked‖identity, chunked‖deflate,chunked‖x,\tchunked".split(
  PART,
);

/** Values of Content-Length. */
export const badLengthValues: readonly string[] = [
  "",
  " ",
  ..."+5‖-5‖-0‖-1‖0x5‖0b101‖0o5‖5h‖5.0‖5e0‖5E0‖1_0‖5 5‖5\t5‖ 1 1‖5,5‖5, 5‖5,6‖5,‖,5‖, 5‖5;‖5;x‖\"5\"‖'5'‖five‖NaN‖Infinity‖\x855‖5\x85‖\xa05‖5\xa0‖\xb2‖\xef\xbc\x95‖9007199254740992‖9999999999999999‖18446744073709551615‖18446744073709551616‖18446744073709551621‖4294967301000000000‖00000000000000005‖99999999999999999999999999999999999999".split(
    PART,
  ),
];

/** Lines that some recipient takes for a field, and others do not. */
export const brokenLines = (name: string, value: string): readonly string[] => [
  `${name} : ${value}`,
  `${name}\t: ${value}`,
  ` ${name}: ${value}`,
  `\t${name}: ${value}`,
  `${name}\x0b: ${value}`,
  `${name}\0: ${value}`,
  `${name}\x85: ${value}`,
  `${name}\xa0: ${value}`,
  `${name};: ${value}`,
  `${name}":${value}`,
  `${name}(): ${value}`,
  `@${name}: ${value}`,
  `:${name}: ${value}`,
  `: ${value}`,
  `${name}`,
  `${name} ${value}`,
  `${name}=${value}`,
  `${name}\r: ${value}`,
  `${name}\n: ${value}`,
  `${name}\r\n: ${value}`,
  `${name}:\r\n ${value}`,
  `${name}:\r\n\t${value}`,
  `${name}: ${value}\r\n x`,
  `${name}: ${value}\r`,
  `${name}: \x0b${value}`,
  `${name}: \x0c${value}`,
  `${name}: ${value}\x0b`,
  `${name}: ${value}\x0c`,
  `${name}: ${value}\0`,
  `${name}: \0${value}`,
  `${name}: \x7f${value}`,
  `${name}: \x1b${value}`,
  `${name}: \r${value}`,
  `${name}: \n${value}`,
  `X: x\n${name}: ${value}`,
  `X: x\r${name}: ${value}`,
  `X: x\r\n\n${name}: ${value}`,
  `X: x\r\r\n${name}: ${value}`,
  `X\n${name}: ${value}`,
  `X:\n${name}: ${value}`,
  `${name.slice(0, 4)}\r\n${name.slice(4)}: ${value}`,
];

/** Chunked bodies that are none, and the status with which a server refuses them where it is not 400. */
export const brokenChunks: readonly (readonly [what: string, body: string, status?: number])[] = [
  ...` 5‖\t5‖5 ‖5\t‖5  ‖+5‖-5‖0x5‖0X5‖5h‖x5‖5x‖5_0‖5.0‖5,‖5,5‖"5"‖g‖G‖\x855‖5\xa0‖5\0‖\x005‖5\x0b‖\x0b5‖5\x0c‖;‖;a‖=‖5;‖5; a‖5 ;a‖5;a ‖5;a =b‖5;a= b‖5;a=‖5;=b‖5;;a‖5;a;‖5;a=b;‖5;a=b c‖5;a,b‖5;"a"‖5;a="b‖5;a="b"c‖5;a="b\\‖5;a=\0‖5;a\x01‖5;\xe9‖5;a=\x7f‖5;a="\x7f"‖5;a="\x01"‖5:a‖5 a‖5/‖10000000000000005‖fffffffffffffffff‖ffffffffffffffff‖7fffffffffffffff‖20000000000000‖80000000000000000000005‖\xb2‖%35‖{5}‖5\\`
    .split(PART)
    .map((line) => [`the chunk size ${show(line)}`, `${line}\r\nhello\r\n0\r\n\r\n`] as const),
  ["an empty chunk size", `\r\nhello\r\n${LAST}`],
  ["a chunk size that ends in LF", `5\nhello\r\n${LAST}`],
  ["a chunk size that ends in CR", `5\rhello\r\n${LAST}`],
  ["a chunk size that ends in CRCRLF", `5\r\r\nhello\r\n${LAST}`],
  ["a chunk size that ends in CRLFLF", `5\r\n\nhello\r\n${LAST}`],
  ["LF within an extension", `5;a\nb\r\nhello\r\n${LAST}`],
  ["LF at the end of an extension", `5;a\nhello\r\n${LAST}`],
  ["CR within an extension", `5;a\rb\r\nhello\r\n${LAST}`],
  ["CRLF within a quoted extension", `5;a="\r\n"\r\nhello\r\n${LAST}`],
  ["LF within a quoted extension", `5;a="\n"\r\nhello\r\n${LAST}`],
  ["an extension of 64 KiB", `5;${"a".repeat(65_536)}\r\nhello\r\n${LAST}`],
  ["zeros of 64 KiB", `${"0".repeat(65_536)}5\r\nhello\r\n${LAST}`],
  ["many chunks with extensions", `${`1;${"e".repeat(50)}\r\nx\r\n`.repeat(1000)}${LAST}`],
  ["a chunk longer than its size", `5\r\nhello!\r\n${LAST}`],
  ["a chunk one byte shorter", `6\r\nhello\r\n${LAST}`],
  ["a chunk two bytes shorter", `7\r\nhello\r\n${LAST}`],
  ["a chunk without CRLF", `5\r\nhello${LAST}`],
  ["a chunk that ends in LF", `5\r\nhello\n${LAST}`],
  ["a chunk that ends in CR", `5\r\nhello\r${LAST}`],
  ["a chunk that ends in two other bytes", `5\r\nhelloxx${LAST}`],
  ["a last chunk that ends in LF", "5\r\nhello\r\n0\n\r\n"],
  ["a last chunk that ends in LFLF", "5\r\nhello\r\n0\n\n"],
  ["a body that ends in LF", "5\r\nhello\r\n0\r\n\n"],
  [
    "a body without its last line, and a request behind it",
    "5\r\nhello\r\n0\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
  ],
  ["a last chunk with a minus", "5\r\nhello\r\n-0\r\n\r\n"],
  ["a last chunk in hexadecimal", "5\r\nhello\r\n0x0\r\n\r\n"],
  ["a last chunk with a blank", "5\r\nhello\r\n0 \r\n\r\n"],
  ["no chunk at all", "hello"],
  ["a trailer without colon", "0\r\nbroken\r\n\r\n"],
  ["a trailer with a blank before its colon", "0\r\nX : y\r\n\r\n"],
  ["a trailer that ends in LF", "0\r\nX: y\n\r\n"],
  ["a folded trailer", "0\r\nX: y\r\n z\r\n\r\n"],
  ["a folded line as the first trailer", "0\r\n X: y\r\n\r\n"],
  ["NUL in a trailer", "0\r\nX: y\0\r\n\r\n"],
  ["CR in a trailer", "0\r\nX: y\rz\r\n\r\n"],
  ["a trailer without a name", "0\r\n: y\r\n\r\n"],
  ["two lengths in the trailers", "0\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"],
  ["trailers of 17 KiB", `0\r\nX: ${"y".repeat(17 * 1024)}\r\n\r\n`, 431],
  ["101 trailers", `0\r\n${"x: y\r\n".repeat(101)}\r\n`, 431],
  ["trailers without end", `0\r\n${"x: y\r\n".repeat(20_000)}`, 431],
];
