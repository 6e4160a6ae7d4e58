-- Keys that services share through the database, and texts of the audit log that can be erased.

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

-- What people have written in the audit log: reasons and notes. An entry contains only a salted hash
-- of each, so that a text can be erased and the log stays as it was sealed.
CREATE TABLE "AuditText" (
    seq        bigint NOT NULL,
    -- The member of the entry's "after" that has the hash.
    field      text   NOT NULL,
    -- Both are NULL once the text was erased: without the salt a short text could be guessed.
    salt       bytea,
    text       text,
    -- The entry that records the erasure.
    "erasedBy" bigint,
    CONSTRAINT "AuditText_pkey" PRIMARY KEY (seq, field),
    CONSTRAINT "AuditText_erased_whole" CHECK (
        (salt IS NULL) = (text IS NULL) AND (text IS NULL) = ("erasedBy" IS NOT NULL))
);
COMMENT ON TABLE "AuditText" IS 'Writers: those of AuditEntry; gx audit erase.';

CREATE FUNCTION "AuditText_erase_only"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.seq = OLD.seq AND NEW.field = OLD.field
        AND OLD.text IS NOT NULL AND NEW.text IS NULL
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a text of the audit log is only ever erased'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'AuditText_erase_only';
END $$;
CREATE TRIGGER "AuditText_erase_only" BEFORE UPDATE OR DELETE ON "AuditText"
    FOR EACH ROW EXECUTE FUNCTION "AuditText_erase_only"();
CREATE TRIGGER "AuditText_no_truncate" BEFORE TRUNCATE ON "AuditText"
    FOR EACH STATEMENT EXECUTE FUNCTION "AuditLog_append_only"();
