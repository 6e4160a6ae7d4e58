-- Passkeys of people and administrators (WebAuthn). One set of tables serves both realms, as that of
-- TotpFactor does.

-- The name that authenticators know an account by. It is random, so that a credential on somebody's
-- device says nothing about the account, and stays when all passkeys are removed, so that a device
-- replaces its credential instead of keeping two.
CREATE TABLE "PasskeyUser" (
    "userHandle" bytea          PRIMARY KEY,
    -- The owner: one of the two.
    "profileId"  text REFERENCES "UserProfile" ("profileId"),
    "adminId"    text REFERENCES "AdminUser" ("adminId"),
    "createdAt"  timestamptz(3) NOT NULL,
    CONSTRAINT "PasskeyUser_profileId_key" UNIQUE ("profileId"),
    CONSTRAINT "PasskeyUser_adminId_key" UNIQUE ("adminId"),
    CONSTRAINT "PasskeyUser_owner" CHECK (num_nonnulls("profileId", "adminId") = 1),
    CONSTRAINT "PasskeyUser_userHandle_size" CHECK (octet_length("userHandle") = 32)
);
COMMENT ON TABLE "PasskeyUser" IS 'Writers: identity for people, admin for administrators.';

CREATE TABLE "Passkey" (
    "passkeyId"        text           PRIMARY KEY,
    "userHandle"       bytea          NOT NULL REFERENCES "PasskeyUser" ("userHandle") ON DELETE CASCADE,
    "credentialId"     bytea          NOT NULL,
    -- The public key as the authenticator has given it (COSE).
    "publicKey"        bytea          NOT NULL,
    -- The largest counter of signatures that was seen; 0 if the authenticator does not count.
    "signCount"        bigint         NOT NULL,
    -- Model of the authenticator; zero if it does not say.
    aaguid             bytea          NOT NULL,
    transports         text[]         NOT NULL,
    "isBackupEligible" boolean        NOT NULL,
    "isBackedUp"       boolean        NOT NULL,
    -- The name that its owner has given.
    name               text           NOT NULL,
    "createdAt"        timestamptz(3) NOT NULL,
    "lastUsedAt"       timestamptz(3),
    CONSTRAINT "Passkey_credentialId_key" UNIQUE ("credentialId"),
    CONSTRAINT "Passkey_credentialId_size" CHECK (octet_length("credentialId") BETWEEN 1 AND 1023),
    CONSTRAINT "Passkey_signCount_range" CHECK ("signCount" BETWEEN 0 AND 4294967295),
    CONSTRAINT "Passkey_aaguid_size" CHECK (octet_length(aaguid) = 16)
);
COMMENT ON TABLE "Passkey" IS 'Writers: those of PasskeyUser; admin also at a reset.';
CREATE INDEX "Passkey_userHandle_idx" ON "Passkey" ("userHandle");

-- Challenges that were not used yet. A use deletes the row, so that each is good once.
CREATE TABLE "PasskeyChallenge" (
    "challengeId" text           PRIMARY KEY,
    challenge     bytea          NOT NULL,
    realm         text           NOT NULL,
    -- The account and the session that add a passkey. NULL for a sign-in.
    "userHandle"  bytea REFERENCES "PasskeyUser" ("userHandle") ON DELETE CASCADE,
    "sessionId"   text,
    "expiresAt"   timestamptz(3) NOT NULL,
    CONSTRAINT "PasskeyChallenge_realm_known" CHECK (realm IN ('user', 'admin')),
    CONSTRAINT "PasskeyChallenge_purpose" CHECK (("userHandle" IS NULL) = ("sessionId" IS NULL))
);
COMMENT ON TABLE "PasskeyChallenge" IS 'Writers: those of PasskeyUser; outbox-submitter removes expired rows.';
CREATE INDEX "PasskeyChallenge_expiresAt_idx" ON "PasskeyChallenge" ("expiresAt");
CREATE INDEX "PasskeyChallenge_userHandle_idx" ON "PasskeyChallenge" ("userHandle");
