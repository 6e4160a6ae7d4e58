-- Failed sign-ins of each address, keys of every changing route, and indexes for the sweeper.

-- step: failed sign-ins
CREATE TABLE "SignInFailure" (
    "addressHash"  bytea          PRIMARY KEY,
    failures       integer        NOT NULL,
    "lastFailedAt" timestamptz(3) NOT NULL,
    "blockedUntil" timestamptz(3),
    CONSTRAINT "SignInFailure_addressHash_size" CHECK (octet_length("addressHash") = 32),
    CONSTRAINT "SignInFailure_failures_counted" CHECK (failures >= 0)
);
COMMENT ON TABLE "SignInFailure" IS
    'Consecutive failed sign-ins of an address, with an account or without. Written by svc-identity and svc-admin.';
COMMENT ON COLUMN "SignInFailure"."addressHash" IS
    'HMAC of realm and address: the table does not show which addresses were tried.';
-- step: answers that are not stored
-- The answer of a finished request may have secrets. Only its status is kept then, and the route
-- answers a repetition itself.
ALTER TABLE "HttpIdempotency" ADD COLUMN "isWithheld" boolean NOT NULL DEFAULT false;
-- index: "SignInFailure_lastFailedAt_idx"
CREATE INDEX CONCURRENTLY IF NOT EXISTS "SignInFailure_lastFailedAt_idx"
    ON "SignInFailure" ("lastFailedAt");
-- index: "UserSession_expiresAt_idx"
CREATE INDEX CONCURRENTLY IF NOT EXISTS "UserSession_expiresAt_idx"
    ON "UserSession" ("expiresAt");
-- index: "AdminSession_expiresAt_idx"
CREATE INDEX CONCURRENTLY IF NOT EXISTS "AdminSession_expiresAt_idx"
    ON "AdminSession" ("expiresAt");
