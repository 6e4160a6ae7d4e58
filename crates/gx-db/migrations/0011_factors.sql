-- Second factors of people and administrators. One table serves both, because each rule (a code is
-- accepted once, failures are counted exactly) is one statement then. An account has at most one
-- row; it is not in force until a code has confirmed it.

CREATE TABLE "TotpFactor" (
    "factorId"         text PRIMARY KEY,
    -- The owner: one of the two.
    "profileId"        text REFERENCES "UserProfile" ("profileId"),
    "adminId"          text REFERENCES "AdminUser" ("adminId"),
    -- Encrypted by the key ring, with the version of the master key next to it.
    secret             bytea          NOT NULL,
    "secretKeyVersion" integer        NOT NULL,
    -- The newest time step of which a code was accepted. A code of this step or an earlier one is
    -- refused.
    "lastStep"         bigint         NOT NULL DEFAULT -1,
    -- Wrong codes since the last accepted one, and the time of the newest of them.
    failures           integer        NOT NULL DEFAULT 0,
    "lastFailureAt"    timestamptz(3),
    "createdAt"        timestamptz(3) NOT NULL,
    "confirmedAt"      timestamptz(3),
    CONSTRAINT "TotpFactor_profileId_key" UNIQUE ("profileId"),
    CONSTRAINT "TotpFactor_adminId_key" UNIQUE ("adminId"),
    CONSTRAINT "TotpFactor_owner" CHECK (num_nonnulls("profileId", "adminId") = 1),
    CONSTRAINT "TotpFactor_failures" CHECK ((failures > 0) = ("lastFailureAt" IS NOT NULL))
);
COMMENT ON TABLE "TotpFactor" IS
    'Writers: identity for people, admin for administrators and at a reset; gx keys rotate the secret.';
CREATE INDEX "TotpFactor_secretKeyVersion_idx" ON "TotpFactor" ("secretKeyVersion", "factorId");

-- The recovery codes that are left. A code that is used is deleted.
CREATE TABLE "RecoveryCode" (
    "factorId" text  NOT NULL REFERENCES "TotpFactor" ("factorId") ON DELETE CASCADE,
    -- SHA-256 of the factor's id and the code, which has 120 random bits.
    hash       bytea NOT NULL,
    CONSTRAINT "RecoveryCode_pkey" PRIMARY KEY ("factorId", hash)
);
COMMENT ON TABLE "RecoveryCode" IS 'Writers: those of TotpFactor.';
