/**
 * The methods of the IANA registry, and PURGE, SOURCE, NOTIFY, SUBSCRIBE, UNSUBSCRIBE and M-SEARCH, which are in wide
 * use. PRI is registered only so that nobody uses it (RFC 9113 §11.6).
 *
 * Others are refused unless the listener allows them, as in Envoy (`allow_custom_methods`): a peer that reads the
 * bytes of a method differently than we do is a way to smuggle, and a mesh meets few inventions.
 */
const KNOWN = new Set(
  (
    "GET HEAD POST PUT DELETE PATCH OPTIONS CONNECT TRACE QUERY " +
    "ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT COPY LABEL LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MKREDIRECTREF " +
    "MKWORKSPACE MOVE ORDERPATCH PROPFIND PROPPATCH REBIND REPORT SEARCH UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE " +
    "UPDATEREDIRECTREF VERSION-CONTROL PURGE SOURCE NOTIFY SUBSCRIBE UNSUBSCRIBE M-SEARCH"
  ).split(" "),
);

/** Methods are case-sensitive (RFC 9110 §9.1). */
export function isKnownMethod(method: string): boolean {
  // A text that has just been cut out has no hash yet; two methods are most of all requests.
  return method === "GET" || method === "POST" || KNOWN.has(method);
}
