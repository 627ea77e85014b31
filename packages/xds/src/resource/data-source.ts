import { type Result, readSmallFile } from "@heddle/base";
import type { DataConfig, SecretConfig } from "@heddle/traffic";
import type { LooseJsonObject } from "./encode.ts";
import type { Fields } from "./fields.ts";

/** Reads what a configuration only names. Left out where the configuration is for another machine. */
export interface DataReader {
  /** Relative paths are taken from the working folder, as in Envoy. The error says what is wrong with the file. */
  file(path: string): Result<Uint8Array, string>;
  variable(name: string): string | undefined;
  /** One of `static_resources.secrets`, or of the process's own. Left out: they are not known yet, or another machine's. */
  staticSecret?(name: string): Pick<SecretConfig, "name" | "type"> | undefined;
}

/** A certificate bundle of a whole system has 250 KB. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** Of this machine. */
export function systemDataReader(environment: { readonly [name: string]: string | undefined }): DataReader {
  return {
    file: (path) => readSmallFile(path, MAX_FILE_BYTES),
    variable: (name) => environment[name],
  };
}

/** `envoy.config.core.v3.DataSource`, wherever its content lies. Undefined: it holds nothing, and an error says so. */
export function decodeData(fields: Fields, reader: DataReader | undefined): DataConfig | undefined {
  const path = fields.text("filename");
  const variable = fields.text("environment_variable");
  const bytes = fields.bytes("inline_bytes");
  if (path !== "") {
    const read = reader?.file(path);
    if (read?.ok === false) fields.fail("filename", `"${path}" ${read.error}`);
    return { source: "filename", name: path, content: read?.ok === true ? latin1(read.value) : undefined };
  }
  if (variable !== "") {
    const value = reader?.variable(variable);
    if (reader !== undefined && value === undefined) {
      fields.fail("environment_variable", `there is no variable ${variable}`);
    }
    const content = value === undefined ? undefined : latin1(Buffer.from(value));
    return { source: "environment_variable", name: variable, content };
  }
  if (bytes !== undefined) return { source: "inline_bytes", name: "", content: latin1(bytes) };
  if (fields.has("inline_string")) {
    return { source: "inline_string", name: "", content: latin1(Buffer.from(fields.text("inline_string"))) };
  }
  fields.fail("", "holds nothing; allowed are filename, inline_bytes, inline_string and environment_variable");
  return undefined;
}

export function encodeData(data: DataConfig | undefined): LooseJsonObject | undefined {
  if (data === undefined) return undefined;
  const { source, name, content = "" } = data;
  switch (source) {
    case "filename":
    case "environment_variable":
      return { [source]: name };
    case "inline_bytes":
      return { inline_bytes: Buffer.from(content, "latin1").toString("base64") };
    case "inline_string":
      return { inline_string: Buffer.from(content, "latin1").toString() };
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
