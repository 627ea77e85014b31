/** How to get to a cluster's API server, and as whom. */
export interface ClusterAccess {
  /** "https://10.0.0.1:443"; may have a path, before which everything is put. */
  readonly server: string;
  /** The namespace that is meant where none is said: our own, within a cluster. */
  readonly namespace: string;
  /** What to show now. Asked before each request; what it reads of files it reads anew now and then. */
  credentials(): Promise<Credentials>;
  /** The API server has refused them: what is remembered of them is read anew the next time. */
  forget(): void;
}

/** Secrets: never to be logged. */
export interface Credentials {
  /** Whom to believe, PEM. Undefined: the system's authorities. */
  readonly ca: string | undefined;
  /** Our certificate and its key, PEM. */
  readonly certificate: string | undefined;
  readonly key: string | undefined;
  /** The name in the API server's certificate, where it is not that of its address. */
  readonly serverName: string | undefined;
  /** `authorization`, and whom to impersonate. */
  readonly headers: Readonly<Record<string, string>>;
}
