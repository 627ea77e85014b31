import { err, isJsonObject, type Json, ok, type Result, readSmallFile } from "@heddle/base";

/** Reads what a filter's configuration only names. */
export interface FilterData {
  /** Relative paths are taken from the working folder, as in Envoy. The error says what is wrong with the file. */
  file(path: string): Result<Uint8Array, string>;
  variable(name: string): string | undefined;
}

/** A set of a thousand keys has half a megabyte. */
const MAX_FILE_BYTES = 1024 * 1024;

/** Of this machine. */
export function systemFilterData(variable: FilterData["variable"]): FilterData {
  return {
    file: (path) => readSmallFile(path, MAX_FILE_BYTES),
    variable,
  };
}

/**
 * The content of an `envoy.config.core.v3.DataSource` in proto JSON, as UTF-8. Undefined: it lies elsewhere, and `data` was left
 * out since this configuration is for another machine. An error names the field and never shows content.
 */
export function readFilterData(
  json: Json | undefined,
  data: FilterData | undefined,
): Result<string | undefined, { readonly path: string; readonly message: string }> {
  const { filename, environmentVariable, inlineBytes, inlineString } = (isJsonObject(json) ? json : {}) as {
    readonly [name: string]: string | undefined;
  };
  if (inlineString !== undefined) return ok(inlineString);
  if (inlineBytes !== undefined) return ok(Buffer.from(inlineBytes, "base64").toString());
  if (filename !== undefined && filename !== "") {
    const read = data?.file(filename);
    if (read?.ok === false) return err({ path: "filename", message: `"${filename}" ${read.error}` });
    return ok(read && Buffer.from(read.value).toString());
  }
  if (environmentVariable !== undefined && environmentVariable !== "") {
    const value = data?.variable(environmentVariable);
    if (data !== undefined && value === undefined) {
      return err({ path: "environmentVariable", message: `there is no variable ${environmentVariable}` });
    }
    return ok(value);
  }
  const message = "holds nothing; allowed are filename, inline_bytes, inline_string and environment_variable";
  return err({ path: "", message });
}
