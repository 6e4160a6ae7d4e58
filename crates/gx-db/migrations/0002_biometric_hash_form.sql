-- A biometric hash is 64 lower-case hexadecimal digits. Older releases stored other things
-- there, password hashes among them. Each such value goes to quarantine, where an operator
-- finds whose it was, and its person is without a sample until the next submission.

CREATE TABLE "QuarantinedRow" (
    "quarantineId"  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "tableName"     text           NOT NULL,
    "rowKey"        text           NOT NULL,
    "columnName"    text           NOT NULL,
    -- What stood there. It may be a credential: nothing but SQL shows it.
    value           text           NOT NULL,
    reason          text           NOT NULL,
    "quarantinedAt" timestamptz(3) NOT NULL,
    CONSTRAINT "QuarantinedRow_row_key" UNIQUE ("tableName", "rowKey", "columnName")
);
COMMENT ON TABLE "QuarantinedRow" IS 'Writer: migrations.';

INSERT INTO "QuarantinedRow"
    ("tableName", "rowKey", "columnName", value, reason, "quarantinedAt")
SELECT 'UserProfile', "profileId", 'biometricHash', "biometricHash",
       'not 64 lower-case hexadecimal digits', now()
FROM "UserProfile"
WHERE "biometricHash" !~ '^[0-9a-f]{64}$'
ORDER BY "profileId";

UPDATE "UserProfile" SET "biometricHash" = NULL
WHERE "biometricHash" !~ '^[0-9a-f]{64}$';

ALTER TABLE "UserProfile"
    ADD CONSTRAINT "UserProfile_biometricHash_form" CHECK ("biometricHash" ~ '^[0-9a-f]{64}$');
