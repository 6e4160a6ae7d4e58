-- Documents of people: encrypted files in the document store, and a row for each. The key of a
-- document is in its row, wrapped by the key of the person, which is not in the database.

ALTER TABLE "KYCDocument"
    ADD COLUMN "wrappedKey"           bytea,
    ADD COLUMN facts                  bytea,
    ADD COLUMN "numberFingerprint"    bytea,
    ADD COLUMN "fingerprintKeyVersion" integer,
    ADD COLUMN "pageCount"            integer,
    ADD COLUMN "scannedAt"            timestamptz(3),
    ADD COLUMN "isInfected"           boolean NOT NULL DEFAULT false,
    ADD COLUMN "erasedAt"             timestamptz(3),
    -- A row has no more of an erased person than that there was a document.
    ADD CONSTRAINT "KYCDocument_erased_whole" CHECK ("erasedAt" IS NULL OR (
        "wrappedKey" IS NULL AND facts IS NULL AND "numberFingerprint" IS NULL
        AND "documentNumber" IS NULL AND "issuingCountry" IS NULL AND "issuedDate" IS NULL
        AND "expiryDate" IS NULL)),
    -- What a row with a file has. Rows of imported databases have none.
    ADD CONSTRAINT "KYCDocument_file_whole" CHECK ("wrappedKey" IS NULL OR (
        facts IS NOT NULL AND "fingerprintKeyVersion" IS NOT NULL AND "pageCount" IS NOT NULL
        AND "documentNumber" IS NULL
        AND status IN ('QUARANTINED', 'STORED', 'ACCEPTED', 'REJECTED')
        AND type IN ('PASSPORT', 'NATIONAL_ID', 'DRIVERS_LICENSE', 'PROOF_OF_ADDRESS',
                     'SELFIE_PHOTO'))),
    ADD CONSTRAINT "KYCDocument_pages_positive" CHECK ("pageCount" > 0),
    ADD CONSTRAINT "KYCDocument_infected_rejected" CHECK (
        NOT "isInfected" OR status = 'REJECTED');

COMMENT ON TABLE "KYCDocument" IS
    'Writers: gx-documents for the service of the person, and for status that of the reviewer.';
COMMENT ON COLUMN "KYCDocument".sha256 IS
    'HMAC-SHA-256 of the SHA-256 of the content, under the key ring; zeros once erased. A SHA-256 in rows without fingerprintKeyVersion.';
COMMENT ON COLUMN "KYCDocument"."documentNumber" IS
    'Of imported databases only. The number of a document is in facts.';
COMMENT ON COLUMN "KYCDocument"."wrappedKey" IS
    'The key of the file, wrapped by the key of the person. NULL without a file.';
COMMENT ON COLUMN "KYCDocument".facts IS
    'SHA-256, number of the document and name of the file, encrypted with the key of the person.';
COMMENT ON COLUMN "KYCDocument"."numberFingerprint" IS
    'HMAC-SHA-256 of the number of the document under the key ring. NULL without a number.';
COMMENT ON COLUMN "KYCDocument"."fingerprintKeyVersion" IS
    'Version of the master key of sha256 and numberFingerprint.';

CREATE INDEX "KYCDocument_sha256_idx" ON "KYCDocument" (sha256) WHERE "erasedAt" IS NULL;
CREATE INDEX "KYCDocument_numberFingerprint_idx" ON "KYCDocument" ("numberFingerprint")
    WHERE "numberFingerprint" IS NOT NULL;
CREATE INDEX "KYCDocument_fingerprintKeyVersion_idx"
    ON "KYCDocument" ("fingerprintKeyVersion", "documentId")
    WHERE "fingerprintKeyVersion" IS NOT NULL;
-- A row of an erased person keeps its status and has no file to scan.
CREATE INDEX "KYCDocument_quarantined_idx" ON "KYCDocument" ("uploadedAt", "documentId")
    WHERE status = 'QUARANTINED' AND "wrappedKey" IS NOT NULL;

-- A file is clean before anybody opens it, and an infected one stays rejected.
CREATE FUNCTION "KYCDocument_status_transition"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD."erasedAt" IS NOT NULL AND NEW.status <> OLD.status
        OR OLD."isInfected"
        OR NEW.status = 'QUARANTINED'
        OR OLD.status = 'QUARANTINED' AND NOT (
            NEW.status = 'STORED' AND NEW."scannedAt" IS NOT NULL
            OR NEW.status = 'REJECTED' AND NEW."isInfected")
    THEN
        RAISE EXCEPTION 'a document cannot go from % to %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'KYCDocument_status_transition';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER "KYCDocument_status_transition" BEFORE UPDATE OF status ON "KYCDocument"
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION "KYCDocument_status_transition"();

-- Objects of the document store that may exist without a row: files that are being uploaded, and
-- files that are to be removed. The row is written before the object, and deleted in the transaction
-- that adds the document, or after the object.
CREATE TABLE "DocumentObject" (
    "storageKey" text PRIMARY KEY,
    "profileId"  text           NOT NULL REFERENCES "UserProfile" ("profileId"),
    state        text           NOT NULL,
    since        timestamptz(3) NOT NULL,
    CONSTRAINT "DocumentObject_state_known" CHECK (state IN ('UPLOAD', 'REMOVAL'))
);
COMMENT ON TABLE "DocumentObject" IS 'Writer: gx-documents.';
CREATE INDEX "DocumentObject_state_idx" ON "DocumentObject" (state, since);
CREATE INDEX "DocumentObject_profileId_idx" ON "DocumentObject" ("profileId");

-- Nothing that is to be removed becomes a document again.
CREATE FUNCTION "DocumentObject_removal_final"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an object that is to be removed stays so'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'DocumentObject_removal_final';
END $$;
CREATE TRIGGER "DocumentObject_removal_final" BEFORE UPDATE OF state ON "DocumentObject"
    FOR EACH ROW WHEN (OLD.state = 'REMOVAL' AND NEW.state <> 'REMOVAL')
    EXECUTE FUNCTION "DocumentObject_removal_final"();

-- Erasures that this database knows. After a restore some are missing, and are made again from the
-- records in the document store.
CREATE TABLE "PersonErasure" (
    -- Name of the record in the document store: SHA-256 of the profile id.
    "recordName" text PRIMARY KEY,
    "profileId"  text           NOT NULL,
    "reasonCode" text           NOT NULL,
    "erasedAt"   timestamptz(3) NOT NULL,
    "appliedAt"  timestamptz(3) NOT NULL,
    CONSTRAINT "PersonErasure_recordName_form" CHECK ("recordName" ~ '^[0-9a-f]{64}$'),
    CONSTRAINT "PersonErasure_profileId_key" UNIQUE ("profileId")
);
COMMENT ON TABLE "PersonErasure" IS 'Writer: gx-documents.';
