-- Mail to people and administrators: the queue, the codes and links of mails, known devices, and
-- which addresses were confirmed.

-- The queue. A mail is added in the transaction that causes it, and svc-identity sends it.
CREATE TABLE "QueuedMail" (
    "mailId"            text PRIMARY KEY,
    kind                text           NOT NULL,
    -- The receiver's account: one of the two, or none if only the address is known. Without a
    -- foreign key, so that a mail waits for no lock on the account.
    "profileId"         text,
    "adminId"           text,
    -- Address, code and token, encrypted by the key ring with the version of the master key next to
    -- it. NULL once the mail was sent or has become useless.
    content             bytea,
    "contentKeyVersion" integer        NOT NULL,
    state               text           NOT NULL DEFAULT 'WAITING',
    -- Deliveries that the mail server has refused for now.
    attempts            integer        NOT NULL DEFAULT 0,
    -- Number of times that a process took the mail to send it. It tells the present holder from
    -- earlier ones.
    claims              integer        NOT NULL DEFAULT 0,
    -- When the mail may be taken. A process that takes it moves the time to the end of its lease.
    "nextAttemptAt"     timestamptz(3) NOT NULL,
    -- When sending it is given up.
    "expiresAt"         timestamptz(3) NOT NULL,
    "lastFailure"       text,
    "createdAt"         timestamptz(3) NOT NULL,
    "settledAt"         timestamptz(3),
    CONSTRAINT "QueuedMail_state_known" CHECK (state IN ('WAITING', 'SENT', 'FAILED')),
    CONSTRAINT "QueuedMail_owner" CHECK (num_nonnulls("profileId", "adminId") <= 1),
    CONSTRAINT "QueuedMail_settled" CHECK ((state = 'WAITING') = ("settledAt" IS NULL)),
    CONSTRAINT "QueuedMail_sent_without_content" CHECK (state <> 'SENT' OR content IS NULL)
);
COMMENT ON TABLE "QueuedMail" IS
    'Writers: identity and admin add rows, identity sends; gx mail retry; gx keys rotate the content.';
CREATE INDEX "QueuedMail_due_idx" ON "QueuedMail" ("nextAttemptAt", "mailId")
    WHERE state = 'WAITING';
CREATE INDEX "QueuedMail_waiting_idx" ON "QueuedMail" ("createdAt") WHERE state = 'WAITING';
CREATE INDEX "QueuedMail_expiresAt_idx" ON "QueuedMail" ("expiresAt") WHERE state = 'WAITING';
CREATE INDEX "QueuedMail_failed_idx" ON "QueuedMail" ("settledAt") WHERE state = 'FAILED';
CREATE INDEX "QueuedMail_retriable_idx" ON "QueuedMail" ("settledAt")
    WHERE state = 'FAILED' AND content IS NOT NULL;
CREATE INDEX "QueuedMail_settledAt_idx" ON "QueuedMail" ("settledAt");
CREATE INDEX "QueuedMail_state_idx" ON "QueuedMail" (state, "mailId");
CREATE INDEX "QueuedMail_contentKeyVersion_idx" ON "QueuedMail" ("contentKeyVersion", "mailId")
    WHERE content IS NOT NULL;

-- What a mail proves: that its reader has the mailbox. A row is deleted when it is used.
CREATE TABLE "MailToken" (
    -- The id of the mail.
    "tokenId"       text PRIMARY KEY,
    purpose         text           NOT NULL,
    "profileId"     text,
    "adminId"       text,
    -- The address that the mail went to.
    address         text           NOT NULL,
    -- SHA-256 of the link's token, which has 256 random bits.
    "tokenHash"     bytea          NOT NULL,
    -- HMAC of the code, which has eight digits. NULL if the mail has a link only.
    "codeHash"      bytea,
    -- Wrong codes that were sent for this one.
    failures        integer        NOT NULL DEFAULT 0,
    "createdAt"     timestamptz(3) NOT NULL,
    "codeExpiresAt" timestamptz(3) NOT NULL,
    "expiresAt"     timestamptz(3) NOT NULL,
    CONSTRAINT "MailToken_tokenHash_key" UNIQUE ("tokenHash"),
    CONSTRAINT "MailToken_purpose_known"
        CHECK (purpose IN ('VERIFY_EMAIL', 'CHANGE_EMAIL', 'RESET_PASSWORD')),
    CONSTRAINT "MailToken_owner" CHECK (num_nonnulls("profileId", "adminId") = 1)
);
COMMENT ON TABLE "MailToken" IS 'Writers: identity adds rows; identity and admin use them.';
CREATE INDEX "MailToken_profileId_idx" ON "MailToken" ("profileId", purpose, "createdAt");
CREATE INDEX "MailToken_adminId_idx" ON "MailToken" ("adminId", purpose, "createdAt");
CREATE INDEX "MailToken_expiresAt_idx" ON "MailToken" ("expiresAt");

-- Devices from which an account has signed in.
CREATE TABLE "KnownDevice" (
    -- SHA-256 of the device token, which has 256 random bits.
    "deviceHash" bytea PRIMARY KEY,
    "profileId"  text,
    "adminId"    text,
    -- HMAC of user agent and network, by which a client that sends no token is recognised. It
    -- only decides whether the person is told of a new device.
    "clientHash" bytea          NOT NULL,
    "createdAt"  timestamptz(3) NOT NULL,
    "lastUsedAt" timestamptz(3) NOT NULL,
    "expiresAt"  timestamptz(3) NOT NULL,
    CONSTRAINT "KnownDevice_owner" CHECK (num_nonnulls("profileId", "adminId") = 1)
);
COMMENT ON TABLE "KnownDevice" IS 'Writers: identity for people, admin for administrators.';
CREATE INDEX "KnownDevice_profileId_idx" ON "KnownDevice" ("profileId", "lastUsedAt");
CREATE INDEX "KnownDevice_adminId_idx" ON "KnownDevice" ("adminId", "lastUsedAt");
CREATE INDEX "KnownDevice_expiresAt_idx" ON "KnownDevice" ("expiresAt");

-- When the present address was confirmed. NULL until then.
ALTER TABLE "UserProfile" ADD COLUMN "emailVerifiedAt" timestamptz(3);
ALTER TABLE "AdminUser" ADD COLUMN "emailVerifiedAt" timestamptz(3);
-- Registered with GX_REGISTRATION_MODE=verified: nobody signs in before the address is confirmed.
ALTER TABLE "UserProfile" ADD COLUMN "mustVerifyEmail" boolean NOT NULL DEFAULT false;
