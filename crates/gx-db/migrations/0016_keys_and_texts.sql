-- Keys that services share through the database.

-- Hashes under the key ring: the version of the key is stored next to each, so that a hash is still
-- recognised after a rotation.
ALTER TABLE "HttpIdempotency" ADD COLUMN "fingerprintKeyVersion" integer;
COMMENT ON COLUMN "HttpIdempotency"."fingerprintKeyVersion" IS
    'Version of the master key of the HMAC in fingerprint. NULL for a hash without a key: of a request without secrets, or of a release before this column.';

-- Keys that sign tokens after the one of the settings. Each signs from its time until that of the
-- next one.
CREATE TABLE "TokenKey" (
    -- Thumbprint of the public key (RFC 7638), which tokens name as kid.
    "keyId"            text PRIMARY KEY,
    -- The private key, encrypted by the key ring, with the version of the master key next to it.
    -- NULL once it was retired. The row stays, because it ends the time of the key before.
    secret             bytea,
    "secretKeyVersion" integer        NOT NULL,
    "createdAt"        timestamptz(3) NOT NULL,
    "signsFrom"        timestamptz(3) NOT NULL,
    "retiredAt"        timestamptz(3),
    CONSTRAINT "TokenKey_signsFrom_key" UNIQUE ("signsFrom"),
    CONSTRAINT "TokenKey_retired_without_secret" CHECK ((secret IS NULL) = ("retiredAt" IS NOT NULL))
);
COMMENT ON TABLE "TokenKey" IS 'Writers: gx keys signing; gx keys rotate the secret.';
