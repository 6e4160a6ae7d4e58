-- The first schema: people and their review, commands on their way to the ledger, and the
-- read model. Names are PascalCase and camelCase because existing deployments' reporting
-- queries use them. Money is bigint Qirat; times are timestamptz(3) in UTC.
--
-- Each table, or each column of "UserProfile", has one writer; it is named in the comments.

-- ---- The schema itself ----------------------------------------------------------------

CREATE TABLE "SchemaVersion" (
    version       integer PRIMARY KEY,
    name          text           NOT NULL,
    -- SHA-256 of the migration's text: an applied migration is never edited.
    checksum      bytea          NOT NULL,
    -- SHA-256 over the catalogue that this version leaves behind.
    fingerprint   bytea          NOT NULL,
    -- Whether binaries of the version before work on this one.
    "isAdditive"  boolean        NOT NULL,
    "appliedAt"   timestamptz(3) NOT NULL
);
COMMENT ON TABLE "SchemaVersion" IS 'Writer: the migration.';

-- ---- People ---------------------------------------------------------------------------

CREATE TABLE "Country" (
    "countryCode" text PRIMARY KEY,
    name          text   NOT NULL,
    "sharePpb"    bigint NOT NULL,
    CONSTRAINT "Country_countryCode_form" CHECK ("countryCode" ~ '^[A-Z]{2}$'),
    CONSTRAINT "Country_sharePpb_range" CHECK ("sharePpb" BETWEEN 0 AND 1000000000)
);
COMMENT ON TABLE "Country" IS 'Writer: the migration, from the embedded country list.';

CREATE TABLE "AdminUser" (
    "adminId"      text PRIMARY KEY,
    email          text           NOT NULL,
    "displayName"  text           NOT NULL,
    role           text           NOT NULL,
    "passwordHash" text           NOT NULL,
    "isLocked"     boolean        NOT NULL DEFAULT false,
    "createdAt"    timestamptz(3) NOT NULL,
    "updatedAt"    timestamptz(3) NOT NULL,
    CONSTRAINT "AdminUser_email_key" UNIQUE (email),
    CONSTRAINT "AdminUser_email_lower" CHECK (email = lower(email)),
    CONSTRAINT "AdminUser_role_known"
        CHECK (role IN ('AUDITOR', 'REVIEWER', 'ADMIN', 'SUPER_ADMIN'))
);

-- What gx_model::FabricUserId accepts: the five blocks, no reserved account type (B to D), and
-- a third block that stands for a date from 1900-01-01 to 4000-01-01. A test compares the two.
CREATE FUNCTION "FabricUserId_isValid"(id text) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE
        WHEN id !~ '^[A-Z]{2} [0-9A-F]{3} [A-Z]{3}[0-9]{3} [0-9AEF][A-Z]{4} [0-9]{4}$' THEN false
        ELSE ((ascii(substr(id, 8, 1)) - 65) * 676
              + (ascii(substr(id, 9, 1)) - 65) * 26
              + (ascii(substr(id, 10, 1)) - 65)) * 1000 + substr(id, 11, 3)::integer
             -- Individuals: women have 500000 added. Everybody else: 1000000.
             BETWEEN CASE substr(id, 15, 1) WHEN '0' THEN 0 ELSE 1000000 END
                 AND CASE substr(id, 15, 1) WHEN '0' THEN 500000 ELSE 1000000 END
                     + (DATE '4000-01-01' - DATE '1900-01-01')
    END
$$;

CREATE TABLE "UserProfile" (
    "profileId"              text PRIMARY KEY,
    "tenantId"               text           NOT NULL DEFAULT 'default',
    -- Writer: identity.
    "firstName"              text           NOT NULL,
    "lastName"               text           NOT NULL,
    email                    text           NOT NULL,
    "phoneNum"               text,
    "identityNum"            text,
    "biometricHash"          text,
    "passwordHash"           text           NOT NULL,
    "dateOfBirth"            date           NOT NULL,
    gender                   text           NOT NULL,
    "nationalityCountryCode" text           REFERENCES "Country" ("countryCode"),
    -- Writers: identity up to submission, admin at decisions, projector by ledger events.
    status                   text           NOT NULL DEFAULT 'REGISTERED',
    "onchainStatus"          text           NOT NULL DEFAULT 'NOT_REGISTERED',
    -- Writer: projector.
    "fabricUserId"           text,
    "onchainRegisteredAt"    timestamptz(3),
    "lastSyncedAt"           timestamptz(3),
    -- Writer: admin.
    "isLocked"               boolean        NOT NULL DEFAULT false,
    "lockReason"             text,
    "lockedBy"               text,
    "lockedAt"               timestamptz(3),
    "lockNotes"              text,
    "reviewedBy"             text,
    "reviewedAt"             timestamptz(3),
    "denialReason"           text,
    "denialFinality"         text,
    "approvalCount"          integer        NOT NULL DEFAULT 0,
    "deletedAt"              timestamptz(3),
    "createdAt"              timestamptz(3) NOT NULL,
    "updatedAt"              timestamptz(3) NOT NULL,
    CONSTRAINT "UserProfile_email_key" UNIQUE (email),
    CONSTRAINT "UserProfile_phoneNum_key" UNIQUE ("phoneNum"),
    CONSTRAINT "UserProfile_fabricUserId_key" UNIQUE ("fabricUserId"),
    CONSTRAINT "UserProfile_email_form" CHECK (email = lower(email) AND length(email) <= 254),
    CONSTRAINT "UserProfile_phoneNum_form" CHECK ("phoneNum" ~ '^\+[1-9][0-9]{6,14}$'),
    CONSTRAINT "UserProfile_gender_known" CHECK (gender IN ('male', 'female')),
    CONSTRAINT "UserProfile_fabricUserId_form" CHECK ("FabricUserId_isValid"("fabricUserId")),
    CONSTRAINT "UserProfile_status_known" CHECK (status IN (
        'REGISTERED', 'PENDING_ADMIN_APPROVAL', 'APPROVED_PENDING_ONCHAIN', 'ACTIVE', 'DENIED',
        'FROZEN', 'SUSPENDED', 'CLOSED')),
    CONSTRAINT "UserProfile_onchainStatus_known" CHECK (
        "onchainStatus" IN ('NOT_REGISTERED', 'PENDING', 'REGISTERED', 'FAILED')),
    CONSTRAINT "UserProfile_denialFinality_known" CHECK ("denialFinality" IN ('RETRY', 'FINAL')),
    CONSTRAINT "UserProfile_registered_has_id" CHECK (
        "onchainStatus" <> 'REGISTERED'
        OR ("fabricUserId" IS NOT NULL AND "onchainRegisteredAt" IS NOT NULL))
);
CREATE INDEX "UserProfile_status_createdAt_idx" ON "UserProfile" (status, "createdAt", "profileId");

-- The account's transition table, for every writer. The same table stands in code
-- (gx_model::AccountStatus) and a test compares the two.
CREATE FUNCTION "UserProfile_status_transition"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.status, NEW.status) NOT IN (
        ('REGISTERED', 'PENDING_ADMIN_APPROVAL'),
        ('DENIED', 'PENDING_ADMIN_APPROVAL'),
        ('PENDING_ADMIN_APPROVAL', 'APPROVED_PENDING_ONCHAIN'),
        ('PENDING_ADMIN_APPROVAL', 'DENIED'),
        ('APPROVED_PENDING_ONCHAIN', 'ACTIVE'),
        ('APPROVED_PENDING_ONCHAIN', 'PENDING_ADMIN_APPROVAL'),
        ('ACTIVE', 'FROZEN'), ('FROZEN', 'ACTIVE'),
        ('ACTIVE', 'SUSPENDED'), ('FROZEN', 'SUSPENDED'),
        ('SUSPENDED', 'ACTIVE'), ('SUSPENDED', 'FROZEN'),
        ('REGISTERED', 'CLOSED'), ('PENDING_ADMIN_APPROVAL', 'CLOSED'),
        ('APPROVED_PENDING_ONCHAIN', 'CLOSED'), ('ACTIVE', 'CLOSED'), ('DENIED', 'CLOSED'),
        ('FROZEN', 'CLOSED'), ('SUSPENDED', 'CLOSED'))
    THEN
        RAISE EXCEPTION 'an account does not go from % to %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'UserProfile_status_transition';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER "UserProfile_status_transition" BEFORE UPDATE OF status ON "UserProfile"
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION "UserProfile_status_transition"();

CREATE TABLE "FabricIdReservation" (
    "fabricUserId" text PRIMARY KEY,
    "profileId"    text           NOT NULL REFERENCES "UserProfile" ("profileId"),
    "commandId"    text           NOT NULL,
    "reservedAt"   timestamptz(3) NOT NULL,
    CONSTRAINT "FabricIdReservation_commandId_key" UNIQUE ("commandId"),
    CONSTRAINT "FabricIdReservation_fabricUserId_form"
        CHECK ("FabricUserId_isValid"("fabricUserId"))
);
CREATE INDEX "FabricIdReservation_profileId_idx" ON "FabricIdReservation" ("profileId");
COMMENT ON TABLE "FabricIdReservation" IS 'Writer: admin, at approval.';

CREATE TABLE "KYCVerification" (
    "verificationId" text PRIMARY KEY,
    "profileId"      text           NOT NULL REFERENCES "UserProfile" ("profileId"),
    submission       integer        NOT NULL,
    status           text           NOT NULL DEFAULT 'PENDING',
    "submittedAt"    timestamptz(3) NOT NULL,
    "decidedAt"      timestamptz(3),
    "decidedBy"      text,
    "reasonCode"     text,
    finality         text,
    "publicComment"  text,
    "privateComment" text,
    CONSTRAINT "KYCVerification_submission_key" UNIQUE ("profileId", submission),
    CONSTRAINT "KYCVerification_status_known" CHECK (status IN ('PENDING', 'APPROVED', 'DENIED')),
    CONSTRAINT "KYCVerification_finality_known" CHECK (finality IN ('RETRY', 'FINAL')),
    CONSTRAINT "KYCVerification_decided" CHECK (
        (status = 'PENDING') = ("decidedAt" IS NULL) AND (status = 'PENDING') = ("decidedBy" IS NULL)),
    CONSTRAINT "KYCVerification_denied_has_reason" CHECK (
        status <> 'DENIED' OR ("reasonCode" IS NOT NULL AND finality IS NOT NULL))
);

CREATE TABLE "KYCDocument" (
    "documentId"     text PRIMARY KEY,
    "profileId"      text           NOT NULL REFERENCES "UserProfile" ("profileId"),
    "verificationId" text           REFERENCES "KYCVerification" ("verificationId"),
    type             text           NOT NULL,
    side             text,
    status           text           NOT NULL,
    sha256           text           NOT NULL,
    size             bigint         NOT NULL,
    "mimeType"       text           NOT NULL,
    "storageKey"     text           NOT NULL,
    "documentNumber" text,
    "issuingCountry" text           REFERENCES "Country" ("countryCode"),
    "issuedDate"     date,
    "expiryDate"     date,
    "uploadedAt"     timestamptz(3) NOT NULL,
    CONSTRAINT "KYCDocument_side_known" CHECK (side IN ('front', 'back')),
    CONSTRAINT "KYCDocument_sha256_form" CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    CONSTRAINT "KYCDocument_size_positive" CHECK (size > 0)
);
CREATE INDEX "KYCDocument_profileId_idx" ON "KYCDocument" ("profileId");

CREATE TABLE "UserSession" (
    "sessionId"           text PRIMARY KEY,
    "profileId"           text           NOT NULL REFERENCES "UserProfile" ("profileId"),
    "refreshHash"         bytea          NOT NULL,
    -- Id and time of the refresh token in use, and the hash of the one before it: a client
    -- that repeats a refresh within the grace window gets the same successor again.
    "refreshId"           text           NOT NULL,
    "rotatedAt"           timestamptz(3) NOT NULL,
    "previousRefreshHash" bytea,
    "createdAt"           timestamptz(3) NOT NULL,
    "lastUsedAt"          timestamptz(3) NOT NULL,
    "expiresAt"           timestamptz(3) NOT NULL,
    "revokedAt"           timestamptz(3),
    "revokedBecause"      text,
    "userAgent"           text,
    "clientAddress"       text,
    CONSTRAINT "UserSession_refreshHash_key" UNIQUE ("refreshHash"),
    CONSTRAINT "UserSession_revoked" CHECK (("revokedAt" IS NULL) = ("revokedBecause" IS NULL))
);
CREATE INDEX "UserSession_profileId_idx" ON "UserSession" ("profileId");

CREATE TABLE "AdminSession" (
    "sessionId"      text PRIMARY KEY,
    "adminId"        text           NOT NULL REFERENCES "AdminUser" ("adminId"),
    "refreshHash"    bytea          NOT NULL,
    "refreshId"      text           NOT NULL,
    "rotatedAt"      timestamptz(3) NOT NULL,
    "previousRefreshHash" bytea,
    "createdAt"      timestamptz(3) NOT NULL,
    "lastUsedAt"     timestamptz(3) NOT NULL,
    "expiresAt"      timestamptz(3) NOT NULL,
    "revokedAt"      timestamptz(3),
    "revokedBecause" text,
    "userAgent"      text,
    "clientAddress"  text,
    CONSTRAINT "AdminSession_refreshHash_key" UNIQUE ("refreshHash"),
    CONSTRAINT "AdminSession_revoked" CHECK (("revokedAt" IS NULL) = ("revokedBecause" IS NULL))
);
CREATE INDEX "AdminSession_adminId_idx" ON "AdminSession" ("adminId");

CREATE TABLE "AuditLog" (
    seq           bigint PRIMARY KEY,
    at            timestamptz(3) NOT NULL,
    "actorType"   text           NOT NULL,
    "actorId"     text,
    action        text           NOT NULL,
    "targetType"  text           NOT NULL,
    "targetId"    text,
    before        jsonb,
    after         jsonb,
    "requestId"   text,
    "previousHash" bytea         NOT NULL,
    hash          bytea          NOT NULL,
    CONSTRAINT "AuditLog_hash_key" UNIQUE (hash),
    CONSTRAINT "AuditLog_actorType_known" CHECK ("actorType" IN ('USER', 'ADMIN', 'SYSTEM'))
);
CREATE INDEX "AuditLog_target_idx" ON "AuditLog" ("targetType", "targetId", seq);

-- The audit log is only ever added to. A superuser can still take the trigger away: what was
-- changed then shows in the chain of hashes.
CREATE FUNCTION "AuditLog_append_only"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is only ever added to'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'AuditLog_append_only';
END $$;
CREATE TRIGGER "AuditLog_append_only" BEFORE UPDATE OR DELETE OR TRUNCATE ON "AuditLog"
    FOR EACH STATEMENT EXECUTE FUNCTION "AuditLog_append_only"();


CREATE TABLE "HttpIdempotency" (
    principal     text           NOT NULL,
    route         text           NOT NULL,
    key           text           NOT NULL,
    -- SHA-256 of the request: the same key with another request is a mistake.
    fingerprint   bytea          NOT NULL,
    status        smallint       NOT NULL,
    "contentType" text           NOT NULL,
    body          bytea          NOT NULL,
    "createdAt"   timestamptz(3) NOT NULL,
    "expiresAt"   timestamptz(3) NOT NULL,
    PRIMARY KEY (principal, route, key)
);
COMMENT ON TABLE "HttpIdempotency" IS
    'Answers to requests that had a key, written in the transaction of what they did.';
CREATE INDEX "HttpIdempotency_expiresAt_idx" ON "HttpIdempotency" ("expiresAt");

CREATE TABLE "Notification" (
    "notificationId" text PRIMARY KEY,
    "profileId"      text           NOT NULL REFERENCES "UserProfile" ("profileId"),
    kind             text           NOT NULL,
    payload          jsonb          NOT NULL,
    "createdAt"      timestamptz(3) NOT NULL,
    "readAt"         timestamptz(3)
);
CREATE INDEX "Notification_profileId_idx" ON "Notification" ("profileId", "createdAt");

-- ---- Commands on their way ------------------------------------------------------------

CREATE TABLE "OutboxCommand" (
    number          bigint GENERATED ALWAYS AS IDENTITY,
    "commandId"     text PRIMARY KEY,
    kind            text           NOT NULL,
    payload         jsonb          NOT NULL,
    "signerRole"    text           NOT NULL,
    "aggregateKey"  text           NOT NULL,
    lane            smallint       NOT NULL,
    touches         text[]         NOT NULL,
    "profileId"     text           REFERENCES "UserProfile" ("profileId"),
    "requestedBy"   text           NOT NULL,
    "requestId"     text,
    status          text           NOT NULL DEFAULT 'PENDING',
    attempts        integer        NOT NULL DEFAULT 0,
    failures        jsonb          NOT NULL DEFAULT '{}',
    "nextAttemptAt" timestamptz(3) NOT NULL,
    returned        boolean        NOT NULL DEFAULT false,
    "giveUp"        jsonb,
    "txId"          text,
    "blockNumber"   bigint,
    outcome         jsonb,
    prerequisite    jsonb,
    "lastError"     text,
    "createdAt"     timestamptz(3) NOT NULL,
    "updatedAt"     timestamptz(3) NOT NULL,
    "submittedAt"   timestamptz(3),
    "settledAt"     timestamptz(3),
    CONSTRAINT "OutboxCommand_number_key" UNIQUE (number),
    CONSTRAINT "OutboxCommand_kind_known" CHECK (kind IN (
        'BOOTSTRAP_SYSTEM', 'INITIALIZE_COUNTRY_DATA', 'PAUSE_SYSTEM', 'RESUME_SYSTEM',
        'ACTIVATE_TREASURY', 'CREATE_USER', 'DISTRIBUTE_GENESIS', 'TRANSFER', 'FREEZE_WALLET',
        'UNFREEZE_WALLET')),
    CONSTRAINT "OutboxCommand_signerRole_known" CHECK ("signerRole" IN ('ADMIN', 'SUPER_ADMIN')),
    CONSTRAINT "OutboxCommand_lane_range" CHECK (lane BETWEEN 0 AND 63),
    CONSTRAINT "OutboxCommand_status_known" CHECK (status IN (
        'PENDING', 'HELD', 'SUBMITTED', 'BLOCKED', 'COMMITTED', 'COMMITTED_UNVERIFIED', 'REFUSED',
        'DEAD', 'DISCARDED')),
    CONSTRAINT "OutboxCommand_submitted_has_tx" CHECK (status <> 'SUBMITTED' OR "txId" IS NOT NULL),
    CONSTRAINT "OutboxCommand_blocked_has_prerequisite"
        CHECK ((status = 'BLOCKED') = (prerequisite IS NOT NULL)),
    CONSTRAINT "OutboxCommand_settled" CHECK (
        (status IN ('COMMITTED', 'COMMITTED_UNVERIFIED', 'REFUSED', 'DISCARDED'))
        = ("settledAt" IS NOT NULL)),
    CONSTRAINT "OutboxCommand_attempts_range" CHECK (attempts >= 0)
);
COMMENT ON COLUMN "OutboxCommand".outcome IS
    'What the ledger said. A SUBMITTED command has one while its declared result is looked for there.';
COMMENT ON COLUMN "OutboxCommand".attempts IS
    'Tries that ended, each counted in OutboxTry before; one that found a prerequisite missing or no ledger costs nothing.';
COMMENT ON COLUMN "OutboxCommand".failures IS
    'Tries that failed, by class; INTERRUPTED are those whose submitter stopped.';
COMMENT ON COLUMN "OutboxCommand".returned IS
    'Became pending again, or was put off. Such commands stand in an index of their own, so that the submitter need not look for them among all numbers that ever were pending.';
COMMENT ON COLUMN "OutboxCommand"."giveUp" IS
    '{to, reason, by}: once sent, a command is given up only after the ledger has cancelled its id.';
COMMENT ON TABLE "OutboxCommand" IS
    'Writers: services insert in their own transaction; the submitter moves PENDING and SUBMITTED; the projector settles.';
CREATE INDEX "OutboxCommand_pending_idx" ON "OutboxCommand" (lane, number)
    WHERE status = 'PENDING' AND NOT returned;
CREATE INDEX "OutboxCommand_returned_idx" ON "OutboxCommand" (lane, number)
    WHERE status = 'PENDING' AND returned;
CREATE INDEX "OutboxCommand_held_idx" ON "OutboxCommand" ("aggregateKey", number)
    WHERE status = 'HELD';
-- Not by status: every statement that names one would seem to want this index.
CREATE INDEX "OutboxCommand_unsettled_idx" ON "OutboxCommand" ("aggregateKey", number)
    WHERE "settledAt" IS NULL;
CREATE INDEX "OutboxCommand_blocked_idx" ON "OutboxCommand" (prerequisite)
    WHERE status = 'BLOCKED';
CREATE INDEX "OutboxCommand_unverified_idx" ON "OutboxCommand" (number)
    WHERE status = 'COMMITTED_UNVERIFIED' OR (status = 'SUBMITTED' AND outcome IS NOT NULL);
CREATE INDEX "OutboxCommand_profileId_idx" ON "OutboxCommand" ("profileId", number);

-- A final state never changes, whoever asks.
CREATE FUNCTION "OutboxCommand_final"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'command % is % for good', OLD."commandId", OLD.status
        USING ERRCODE = 'check_violation', CONSTRAINT = 'OutboxCommand_final';
END $$;
CREATE TRIGGER "OutboxCommand_final" BEFORE UPDATE OF status ON "OutboxCommand"
    FOR EACH ROW
    WHEN (OLD.status IN ('COMMITTED', 'COMMITTED_UNVERIFIED', 'REFUSED', 'DISCARDED')
          AND NEW.status IS DISTINCT FROM OLD.status)
    EXECUTE FUNCTION "OutboxCommand_final"();

-- Whoever makes a command pending again, it is found again.
CREATE FUNCTION "OutboxCommand_returned"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.returned := true;
    RETURN NEW;
END $$;
CREATE TRIGGER "OutboxCommand_returned" BEFORE UPDATE ON "OutboxCommand"
    FOR EACH ROW
    WHEN (NEW.status = 'PENDING' AND NOT NEW.returned
          AND (OLD.status <> 'PENDING' OR NEW."nextAttemptAt" <> OLD."nextAttemptAt"))
    EXECUTE FUNCTION "OutboxCommand_returned"();

CREATE TABLE "TransferRemark" (
    "commandId" text PRIMARY KEY,
    remark      text NOT NULL,
    CONSTRAINT "TransferRemark_remark_length" CHECK (length(remark) BETWEEN 1 AND 140)
);
COMMENT ON TABLE "TransferRemark" IS
    'What a payer wrote to the receiver; it never goes to the ledger. Writer: tokenomics.';

CREATE TABLE "OutboxLane" (
    lane         smallint PRIMARY KEY,
    owner        text,
    token        bigint         NOT NULL DEFAULT 0,
    "leaseUntil" timestamptz(3) NOT NULL DEFAULT '1970-01-01Z',
    "servedAt"   timestamptz(3) NOT NULL DEFAULT '1970-01-01Z',
    CONSTRAINT "OutboxLane_lane_range" CHECK (lane BETWEEN 0 AND 63)
);
INSERT INTO "OutboxLane" (lane) SELECT generate_series(0, 63);
COMMENT ON TABLE "OutboxLane" IS 'Writer: submitter.';

CREATE TABLE "OutboxTry" (
    number       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lanes        smallint[]     NOT NULL,
    "commandIds" text[]         NOT NULL,
    "startedAt"  timestamptz(3) NOT NULL
);
COMMENT ON TABLE "OutboxTry" IS
    'Writer: submitter. Tries under way, counted before they are made; what stands here when its lanes are leased anew was interrupted.';

CREATE TABLE "LedgerAttempt" (
    "txId"        text PRIMARY KEY,
    purpose       text           NOT NULL,
    "genesisHash" bytea          NOT NULL,
    envelope      bytea          NOT NULL,
    "commandIds"  text[]         NOT NULL,
    touches       text[]         NOT NULL,
    state         text           NOT NULL DEFAULT 'OPEN',
    sends         integer        NOT NULL DEFAULT 0,
    "nextSendAt"  timestamptz(3) NOT NULL,
    "errorClass"  text,
    "errorDetail" text,
    "refusedAtHeight" bigint,
    "validationCode" text,
    "blockNumber" bigint,
    "createdAt"   timestamptz(3) NOT NULL,
    "settledAt"   timestamptz(3),
    CONSTRAINT "LedgerAttempt_state_known"
        CHECK (state IN ('OPEN', 'VALID', 'INVALID', 'ABANDONED')),
    CONSTRAINT "LedgerAttempt_purpose_known" CHECK (purpose IN ('EXECUTE', 'CANCEL')),
    CONSTRAINT "LedgerAttempt_settled" CHECK ((state = 'OPEN') = ("settledAt" IS NULL))
);
-- Signed bytes hardly shrink, and trying to costs more than sending them.
ALTER TABLE "LedgerAttempt" ALTER COLUMN envelope SET STORAGE EXTERNAL;
CREATE INDEX "LedgerAttempt_open_idx" ON "LedgerAttempt" ("nextSendAt")
    WHERE "settledAt" IS NULL;
CREATE INDEX "LedgerAttempt_createdAt_idx" ON "LedgerAttempt" ("createdAt");
COMMENT ON COLUMN "LedgerAttempt"."refusedAtHeight" IS
    'Height of the ledger when the orderer refused the envelope; refused again after every block below it was applied, the attempt is abandoned.';

-- A final state never changes, whoever asks.
CREATE FUNCTION "LedgerAttempt_final"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'attempt % is % for good', OLD."txId", OLD.state
        USING ERRCODE = 'check_violation', CONSTRAINT = 'LedgerAttempt_final';
END $$;
CREATE TRIGGER "LedgerAttempt_final" BEFORE UPDATE OF state ON "LedgerAttempt"
    FOR EACH ROW WHEN (OLD.state <> 'OPEN' AND NEW.state IS DISTINCT FROM OLD.state)
    EXECUTE FUNCTION "LedgerAttempt_final"();
COMMENT ON TABLE "LedgerAttempt" IS 'Writers: submitter inserts and abandons; projector settles.';

-- ---- What is finished -------------------------------------------------------------------

-- Finished commands and attempts leave the tables that are worked on, month by month. What
-- committed without its declared result stays where operators look for it.
CREATE TABLE "OutboxArchive" (
    LIKE "OutboxCommand" INCLUDING CONSTRAINTS,
    CONSTRAINT "OutboxArchive_finished" CHECK (status IN ('COMMITTED', 'REFUSED', 'DISCARDED'))
) PARTITION BY RANGE ("settledAt");
CREATE INDEX "OutboxArchive_commandId_idx" ON "OutboxArchive" ("commandId");
CREATE INDEX "OutboxArchive_number_idx" ON "OutboxArchive" (number);
CREATE INDEX "OutboxArchive_profileId_idx" ON "OutboxArchive" ("profileId", number);
COMMENT ON TABLE "OutboxArchive" IS 'Finished commands, by month. Writer: submitter.';

-- Without the envelopes: the blocks have them.
CREATE TABLE "LedgerAttemptArchive" (
    "txId"           text           NOT NULL,
    purpose          text           NOT NULL,
    "commandIds"     text[]         NOT NULL,
    state            text           NOT NULL,
    sends            integer        NOT NULL,
    "nextSendAt"     timestamptz(3) NOT NULL,
    "errorClass"     text,
    "errorDetail"    text,
    "validationCode" text,
    "blockNumber"    bigint,
    "createdAt"      timestamptz(3) NOT NULL,
    "settledAt"      timestamptz(3) NOT NULL,
    CONSTRAINT "LedgerAttemptArchive_state_final" CHECK (state IN ('VALID', 'INVALID', 'ABANDONED'))
) PARTITION BY RANGE ("settledAt");
CREATE INDEX "LedgerAttemptArchive_createdAt_idx" ON "LedgerAttemptArchive" ("createdAt");
COMMENT ON TABLE "LedgerAttemptArchive" IS 'Ended attempts, by month. Writer: submitter.';

-- Makes the partitions of a month where they are missing. Attaching, unlike creating in
-- place, lets those who read the archive go on.
CREATE FUNCTION "Archive_month"(moment timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first timestamp := date_trunc('month', moment AT TIME ZONE 'UTC');
    parent text;
    part text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['OutboxArchive', 'LedgerAttemptArchive'] LOOP
        part := parent || to_char(first, '_YYYY_MM');
        CONTINUE WHEN to_regclass(quote_ident(part)) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING CONSTRAINTS)', part, parent);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            parent, part, first AT TIME ZONE 'UTC',
            (first + interval '1 month') AT TIME ZONE 'UTC');
    END LOOP;
END $$;

-- Every command that was ever wanted, wherever it stands.
CREATE VIEW "OutboxHistory" AS
SELECT * FROM "OutboxCommand" UNION ALL SELECT * FROM "OutboxArchive";

-- Every envelope that was ever stored.
CREATE VIEW "LedgerAttemptHistory" AS
SELECT "txId", purpose, "commandIds", state, sends, "nextSendAt", "errorClass", "errorDetail",
       "validationCode", "blockNumber", "createdAt", "settledAt"
FROM "LedgerAttempt"
UNION ALL
SELECT "txId", purpose, "commandIds", state, sends, "nextSendAt", "errorClass", "errorDetail",
       "validationCode", "blockNumber", "createdAt", "settledAt"
FROM "LedgerAttemptArchive";

-- ---- Where the chain is ---------------------------------------------------------------

CREATE TABLE "LedgerTip" (
    channel       text           NOT NULL,
    height        bigint         NOT NULL,
    "firstSeenAt" timestamptz(3) NOT NULL,
    "contactAt"   timestamptz(3) NOT NULL,
    writer        text           NOT NULL,
    PRIMARY KEY (channel, height),
    CONSTRAINT "LedgerTip_height_positive" CHECK (height > 0)
);
COMMENT ON TABLE "LedgerTip" IS 'Writers: submitter and projector.';

CREATE TABLE "ProjectorState" (
    channel       text PRIMARY KEY,
    "genesisHash" bytea          NOT NULL,
    "blockNumber" bigint         NOT NULL,
    "blockHash"   bytea          NOT NULL,
    "updatedAt"   timestamptz(3) NOT NULL,
    CONSTRAINT "ProjectorState_blockNumber_range" CHECK ("blockNumber" >= 0)
);
COMMENT ON TABLE "ProjectorState" IS 'Writer: projector. blockNumber is the last block applied.';

CREATE TABLE "EventDLQ" (
    "deadEventId" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel       text           NOT NULL,
    "blockNumber" bigint         NOT NULL,
    "txId"        text           NOT NULL,
    "eventIndex"  integer        NOT NULL,
    "commandId"   text           NOT NULL,
    "txIndex"     integer        NOT NULL,
    "eventName"   text,
    aggregates    text[]         NOT NULL,
    reason        text           NOT NULL,
    payload       json           NOT NULL,
    "ledgerAt"    timestamptz(3) NOT NULL,
    state         text           NOT NULL DEFAULT 'HELD',
    "createdAt"   timestamptz(3) NOT NULL,
    "resolvedAt"  timestamptz(3),
    CONSTRAINT "EventDLQ_event_key" UNIQUE (channel, "blockNumber", "txId", "eventIndex"),
    CONSTRAINT "EventDLQ_state_known" CHECK (state IN ('HELD', 'REPLAYED')),
    CONSTRAINT "EventDLQ_resolved" CHECK ((state = 'HELD') = ("resolvedAt" IS NULL))
);
CREATE INDEX "EventDLQ_held_idx" ON "EventDLQ" USING gin (aggregates) WHERE state = 'HELD';
COMMENT ON TABLE "EventDLQ" IS 'Writer: projector.';
COMMENT ON COLUMN "EventDLQ".payload IS
    'As it stood on the wire; json and not jsonb, which refuses some valid texts.';

CREATE TABLE "ProjectorTask" (
    "taskId"      text PRIMARY KEY,
    channel       text           NOT NULL,
    kind          text           NOT NULL,
    arguments     jsonb          NOT NULL,
    "requestedBy" text           NOT NULL,
    "requestedAt" timestamptz(3) NOT NULL,
    state         text           NOT NULL DEFAULT 'WAITING',
    report        jsonb,
    "finishedAt"  timestamptz(3),
    CONSTRAINT "ProjectorTask_kind_known" CHECK (kind IN (
        'REPLAY_DEAD_EVENTS', 'VERIFY_PROJECTION', 'REBUILD_PROJECTION')),
    CONSTRAINT "ProjectorTask_state_known" CHECK (state IN ('WAITING', 'DONE')),
    CONSTRAINT "ProjectorTask_finished" CHECK (
        (state = 'WAITING') = ("finishedAt" IS NULL) AND (state = 'WAITING') = (report IS NULL))
);
CREATE INDEX "ProjectorTask_waiting_idx" ON "ProjectorTask" (channel, "requestedAt")
    WHERE state = 'WAITING';
COMMENT ON TABLE "ProjectorTask" IS
    'What operators ask of the projector, because nobody else writes the read model. Writers: admin inserts; the projector says what came of it.';

-- ---- The read model: a function of the chain. Only the projector writes below here ------

CREATE TABLE "EventLog" (
    channel       text           NOT NULL,
    "blockNumber" bigint         NOT NULL,
    "txId"        text           NOT NULL,
    "eventIndex"  integer        NOT NULL,
    "txIndex"     integer        NOT NULL,
    "commandId"   text           NOT NULL,
    "eventName"   text           NOT NULL,
    payload       jsonb          NOT NULL,
    "ledgerAt"    timestamptz(3) NOT NULL,
    PRIMARY KEY (channel, "blockNumber", "txId", "eventIndex")
);
CREATE INDEX "EventLog_commandId_idx" ON "EventLog" ("commandId");

CREATE TABLE "LedgerSystem" (
    channel            text PRIMARY KEY,
    "bootstrappedAt"   timestamptz(3),
    "bootstrappedTxId" text,
    "isPaused"         boolean NOT NULL DEFAULT false,
    "pauseReason"      text,
    "pausedAt"         timestamptz(3)
);

CREATE TABLE "LedgerPool" (
    "poolId"       text PRIMARY KEY,
    "startBalance" bigint NOT NULL,
    CONSTRAINT "LedgerPool_startBalance_range" CHECK ("startBalance" >= 0)
);
COMMENT ON TABLE "LedgerPool" IS
    'What bootstrap put into each pool; what is left is the view PoolBalance.';

CREATE TABLE "LedgerCountry" (
    "countryCode"   text PRIMARY KEY,
    name            text   NOT NULL,
    "sharePpb"      bigint NOT NULL,
    users           bigint NOT NULL DEFAULT 0,
    "userTotal"     bigint NOT NULL DEFAULT 0,
    "treasuryTotal" bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE "LedgerCountry" IS
    'Countries as the chain has them, with people granted and Qirat paid from the two genesis pools.';

CREATE TABLE "LedgerPoolMove" (
    "txId"   text           NOT NULL,
    "poolId" text           NOT NULL REFERENCES "LedgerPool" ("poolId"),
    kind     text           NOT NULL,
    amount   bigint         NOT NULL,
    at       timestamptz(3) NOT NULL,
    PRIMARY KEY ("txId", "poolId", kind),
    CONSTRAINT "LedgerPoolMove_kind_known" CHECK (kind IN ('FEE', 'TRANSFER')),
    CONSTRAINT "LedgerPoolMove_fees_are_earned" CHECK (kind <> 'FEE' OR amount > 0)
);
COMMENT ON TABLE "LedgerPoolMove" IS
    'By transaction: fees credited to SYSTEM_OPERATIONS_FUND, and transfers from (negative) and to pools. A sum of each, so that a pool''s balance is not one over every payment ever made.';

CREATE TABLE "LedgerUser" (
    "fabricUserId"  text PRIMARY KEY,
    "profileId"     text           NOT NULL REFERENCES "UserProfile" ("profileId"),
    "countryCode"   text           NOT NULL,
    "createdTxId"   text           NOT NULL,
    "createdAt"     timestamptz(3) NOT NULL,
    "genesisTxId"   text,
    "genesisAmount" bigint,
    "genesisPhase"  smallint,
    "genesisRefusal" text,
    "isFrozen"      boolean        NOT NULL DEFAULT false,
    "frozenReason"  text,
    CONSTRAINT "LedgerUser_profileId_key" UNIQUE ("profileId")
);

CREATE TABLE "Wallet" (
    "walletId"     text PRIMARY KEY,
    "accountId"    text           NOT NULL,
    kind           text           NOT NULL,
    "profileId"    text           REFERENCES "UserProfile" ("profileId"),
    "fabricUserId" text,
    balance        bigint         NOT NULL,
    "isLocked"     boolean        NOT NULL DEFAULT false,
    "lastTxId"     text           NOT NULL,
    "asOfBlock"    bigint         NOT NULL,
    "createdAt"    timestamptz(3) NOT NULL,
    "updatedAt"    timestamptz(3) NOT NULL,
    CONSTRAINT "Wallet_accountId_key" UNIQUE ("accountId"),
    CONSTRAINT "Wallet_profileId_key" UNIQUE ("profileId"),
    CONSTRAINT "Wallet_kind_known" CHECK (kind IN ('USER', 'TREASURY')),
    CONSTRAINT "Wallet_balance_never_negative" CHECK (balance >= 0),
    CONSTRAINT "Wallet_user_has_owner" CHECK (
        (kind = 'USER') = ("profileId" IS NOT NULL AND "fabricUserId" IS NOT NULL))
)
-- Room in each page for new balances, which then need no new entries in the indexes.
WITH (fillfactor = 70);
COMMENT ON COLUMN "Wallet"."isLocked" IS 'A treasury is locked until it is activated.';

CREATE TABLE "Transaction" (
    id            text PRIMARY KEY,
    "onChainTxId" text           NOT NULL,
    "eventIndex"  integer        NOT NULL,
    "accountId"   text           NOT NULL,
    "blockNumber" bigint         NOT NULL,
    "commandId"   text           NOT NULL,
    type          text           NOT NULL,
    direction     text           NOT NULL,
    counterparty  text           NOT NULL,
    amount        bigint         NOT NULL,
    fee           bigint         NOT NULL,
    at            timestamptz(3) NOT NULL,
    CONSTRAINT "Transaction_effect_key" UNIQUE ("onChainTxId", "eventIndex", "accountId"),
    CONSTRAINT "Transaction_type_known" CHECK (type IN ('GENESIS', 'TRANSFER')),
    CONSTRAINT "Transaction_direction_known" CHECK (direction IN ('IN', 'OUT')),
    CONSTRAINT "Transaction_amount_range" CHECK (amount >= 0 AND fee >= 0)
);
CREATE INDEX "Transaction_accountId_idx"
    ON "Transaction" ("accountId", "blockNumber" DESC, "eventIndex" DESC);
COMMENT ON TABLE "Transaction" IS 'History of people''s wallets: one row an event and affected person.';

-- What is left in each pool: its start, minus what the countries were paid from the two
-- genesis pools, plus fees and transfers.
CREATE VIEW "PoolBalance" AS
SELECT p."poolId",
       (p."startBalance"
        - CASE p."poolId"
              WHEN 'SYSTEM_USER_GENESIS_POOL' THEN (SELECT coalesce(sum("userTotal"), 0) FROM "LedgerCountry")
              WHEN 'SYSTEM_GOVT_GENESIS_POOL' THEN (SELECT coalesce(sum("treasuryTotal"), 0) FROM "LedgerCountry")
              ELSE 0
          END
        + (SELECT coalesce(sum(m.amount), 0) FROM "LedgerPoolMove" m WHERE m."poolId" = p."poolId")
       )::bigint AS balance
FROM "LedgerPool" p;

-- ---- Rebuilding the read model ----------------------------------------------------------

-- A rebuild replays the chain into copies of the projected tables, in a schema of their own,
-- with the very statements of the projector: only the search path differs. The copies of
-- outbox and attempts stay empty, so that no command is settled a second time. Nothing here
-- outlives a rebuild, so nothing is logged; after a crash a rebuild begins anew.
CREATE SCHEMA gx_rebuild;

CREATE UNLOGGED TABLE gx_rebuild."ProjectorState" (LIKE "ProjectorState" INCLUDING ALL);
CREATE UNLOGGED TABLE gx_rebuild."OutboxCommand" (LIKE "OutboxCommand" INCLUDING ALL);
CREATE UNLOGGED TABLE gx_rebuild."LedgerAttempt" (LIKE "LedgerAttempt" INCLUDING ALL);
CREATE UNLOGGED TABLE gx_rebuild."EventDLQ" (LIKE "EventDLQ" INCLUDING ALL EXCLUDING INDEXES,
    CONSTRAINT "EventDLQ_event_key" UNIQUE (channel, "blockNumber", "txId", "eventIndex"));
CREATE UNLOGGED TABLE gx_rebuild."EventLog" (LIKE "EventLog" INCLUDING ALL);
CREATE UNLOGGED TABLE gx_rebuild."LedgerSystem" (LIKE "LedgerSystem" INCLUDING ALL);
CREATE UNLOGGED TABLE gx_rebuild."LedgerPool" (LIKE "LedgerPool" INCLUDING ALL);
CREATE UNLOGGED TABLE gx_rebuild."LedgerCountry" (LIKE "LedgerCountry" INCLUDING ALL);
CREATE UNLOGGED TABLE gx_rebuild."LedgerPoolMove" (LIKE "LedgerPoolMove" INCLUDING ALL,
    FOREIGN KEY ("poolId") REFERENCES gx_rebuild."LedgerPool");
-- The projector's columns of accounts that the chain may know, as an approval leaves them.
CREATE UNLOGGED TABLE gx_rebuild."UserProfile" (
    "profileId"           text PRIMARY KEY,
    status                text           NOT NULL DEFAULT 'APPROVED_PENDING_ONCHAIN',
    "onchainStatus"       text           NOT NULL DEFAULT 'PENDING',
    "fabricUserId"        text UNIQUE,
    "onchainRegisteredAt" timestamptz(3),
    "lastSyncedAt"        timestamptz(3),
    "updatedAt"           timestamptz(3) NOT NULL DEFAULT '1970-01-01Z'
);
CREATE UNLOGGED TABLE gx_rebuild."LedgerUser" (LIKE "LedgerUser" INCLUDING ALL,
    FOREIGN KEY ("profileId") REFERENCES gx_rebuild."UserProfile");
CREATE UNLOGGED TABLE gx_rebuild."Wallet" (LIKE "Wallet" INCLUDING ALL,
    FOREIGN KEY ("profileId") REFERENCES gx_rebuild."UserProfile");
CREATE UNLOGGED TABLE gx_rebuild."Transaction" (LIKE "Transaction" INCLUDING ALL);

-- Rows that are not the same in the read model and in its copy, by table and primary key.
CREATE UNLOGGED TABLE gx_rebuild."Difference" (
    "tableName" text  NOT NULL,
    key         jsonb NOT NULL,
    here        jsonb,
    rebuilt     jsonb,
    PRIMARY KEY ("tableName", key)
);
