-- Hashes under the key ring: the version of the key is stored next to each, so that a hash is still
-- recognised after a rotation.
ALTER TABLE "HttpIdempotency" ADD COLUMN "fingerprintKeyVersion" integer;
COMMENT ON COLUMN "HttpIdempotency"."fingerprintKeyVersion" IS
    'Version of the master key of the HMAC in fingerprint. NULL for a hash without a key: of a request without secrets, or of a release before this column.';
