-- A review as work that several people share: claims with a lease, a clock that can be stopped, and
-- proposals for which a second administrator is needed. Also legal holds and the closing of
-- accounts.

-- step: the clock of a review, legal holds and closings
ALTER TABLE "UserProfile"
    -- The time from which the wait for a decision counts. It moves on while the clock is stopped.
    ADD COLUMN "reviewSince"     timestamptz(3),
    ADD COLUMN "reviewStoppedAt" timestamptz(3),
    ADD COLUMN "legalHoldAt"     timestamptz(3),
    ADD COLUMN "legalHoldBy"     text,
    ADD COLUMN "closedAt"        timestamptz(3);
COMMENT ON COLUMN "UserProfile"."reviewSince" IS
    'Writers: the trigger at each submission; admin and identity as the clock is stopped and goes on. NULL for accounts that came under review before this column and had no submission.';
COMMENT ON COLUMN "UserProfile"."reviewStoppedAt" IS
    'Set while the reviewers wait for the person.';
COMMENT ON COLUMN "UserProfile"."legalHoldAt" IS
    'Writer: admin. While it is set, documents, texts, sessions and devices of the account stay.';
COMMENT ON COLUMN "UserProfile"."closedAt" IS 'Writers: identity and admin.';
ALTER TABLE "UserProfile" ADD CONSTRAINT "UserProfile_legalHold_whole"
    CHECK (("legalHoldAt" IS NULL) = ("legalHoldBy" IS NULL)) NOT VALID;
-- The same transitions as before. Every change that brings an account under review starts its
-- clock, also those of the projector and of earlier releases.
CREATE OR REPLACE FUNCTION "UserProfile_status_transition"() RETURNS trigger LANGUAGE plpgsql AS $$
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
    IF NEW.status = 'PENDING_ADMIN_APPROVAL' THEN
        NEW."reviewSince" := NEW."updatedAt";
    END IF;
    NEW."reviewStoppedAt" := NULL;
    RETURN NEW;
END $$;
-- step: no legal hold without its administrator
ALTER TABLE "UserProfile" VALIDATE CONSTRAINT "UserProfile_legalHold_whole";
-- batches: those who wait for a decision have waited since their submission
UPDATE "UserProfile" p
SET "reviewSince" = v."submittedAt"
FROM "KYCVerification" v
WHERE v."profileId" = p."profileId" AND v.status = 'PENDING' AND p."profileId" IN (
    SELECT w."profileId" FROM "UserProfile" w
    JOIN "KYCVerification" s ON s."profileId" = w."profileId" AND s.status = 'PENDING'
    WHERE w.status = 'PENDING_ADMIN_APPROVAL' AND w."reviewSince" IS NULL
    LIMIT 1000);
-- index: "UserProfile_review_idx"
-- The queue of reviewers, the oldest first.
CREATE INDEX CONCURRENTLY IF NOT EXISTS "UserProfile_review_idx"
    ON "UserProfile" ((coalesce("reviewSince", "createdAt")), "profileId")
    WHERE status = 'PENDING_ADMIN_APPROVAL';
-- index: "UserProfile_closed_idx"
-- People whose documents are kept until the time after the closing is over.
CREATE INDEX CONCURRENTLY IF NOT EXISTS "UserProfile_closed_idx"
    ON "UserProfile" ((coalesce("closedAt", "updatedAt")), "profileId")
    WHERE status = 'CLOSED' AND "deletedAt" IS NULL;
-- step: claims of reviewers
CREATE TABLE "ReviewClaim" (
    "profileId"  text PRIMARY KEY REFERENCES "UserProfile" ("profileId"),
    "adminId"    text           NOT NULL REFERENCES "AdminUser" ("adminId"),
    "leaseUntil" timestamptz(3) NOT NULL
);
COMMENT ON TABLE "ReviewClaim" IS
    'Who reviews a person, and until when by the time of the database. Writer: admin; a decision and the closing of the account remove the row.';
CREATE INDEX "ReviewClaim_adminId_idx" ON "ReviewClaim" ("adminId");
-- step: proposals
CREATE TABLE "Proposal" (
    "proposalId"  text PRIMARY KEY,
    act           text           NOT NULL,
    -- The person, administrator, country or "SYSTEM" that the act is about.
    "targetId"    text           NOT NULL,
    -- Ids and codes of the act.
    arguments     jsonb          NOT NULL,
    -- Reason and notes, until the proposal is decided.
    texts         jsonb,
    "proposedBy"  text           NOT NULL REFERENCES "AdminUser" ("adminId"),
    "proposedAt"  timestamptz(3) NOT NULL,
    -- By the time of the database.
    "expiresAt"   timestamptz(3) NOT NULL,
    state         text           NOT NULL DEFAULT 'OPEN',
    "decidedBy"   text           REFERENCES "AdminUser" ("adminId"),
    "decidedAt"   timestamptz(3),
    CONSTRAINT "Proposal_act_known" CHECK (act IN (
        'APPROVE', 'FREEZE', 'UNFREEZE', 'PAUSE', 'RESUME', 'ACTIVATE_TREASURY',
        'RESET_USER_FACTORS', 'RESET_ADMINISTRATOR_FACTORS')),
    CONSTRAINT "Proposal_state_known" CHECK (state IN ('OPEN', 'CONFIRMED', 'REJECTED', 'EXPIRED')),
    CONSTRAINT "Proposal_decided" CHECK (
        (state = 'OPEN') = ("decidedAt" IS NULL)
        AND (state IN ('CONFIRMED', 'REJECTED')) = ("decidedBy" IS NOT NULL)),
    CONSTRAINT "Proposal_texts_until_decided" CHECK (state = 'OPEN' OR texts IS NULL),
    -- Nobody confirms an own proposal, whatever a service does.
    CONSTRAINT "Proposal_four_eyes" CHECK (state <> 'CONFIRMED' OR "decidedBy" <> "proposedBy")
);
COMMENT ON TABLE "Proposal" IS
    'Acts for which a second administrator is needed. Writer: admin.';
CREATE UNIQUE INDEX "Proposal_open_key" ON "Proposal" (act, "targetId") WHERE state = 'OPEN';
CREATE INDEX "Proposal_open_idx" ON "Proposal" ("proposalId") WHERE state = 'OPEN';

-- A state other than OPEN is final.
CREATE FUNCTION "Proposal_final"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'proposal % is % for good', OLD."proposalId", OLD.state
        USING ERRCODE = 'check_violation', CONSTRAINT = 'Proposal_final';
END $$;
CREATE TRIGGER "Proposal_final" BEFORE UPDATE ON "Proposal"
    FOR EACH ROW WHEN (OLD.state <> 'OPEN') EXECUTE FUNCTION "Proposal_final"();
-- step: invitations of administrators
CREATE TABLE "AdminInvitation" (
    "adminId"   text PRIMARY KEY REFERENCES "AdminUser" ("adminId"),
    -- Moved on when the mail with the link is sent.
    "expiresAt" timestamptz(3) NOT NULL
);
COMMENT ON TABLE "AdminInvitation" IS
    'Administrators who have not set a first password yet. Writers: admin adds rows; identity, which sends the mail; the service that sets the password removes them.';
-- step: documents that a person is asked for again
CREATE TABLE "DocumentRequest" (
    "profileId"     text           NOT NULL REFERENCES "UserProfile" ("profileId"),
    type            text           NOT NULL,
    -- NULL where any side is enough.
    side            text,
    -- NULL once it was erased.
    "publicComment" text,
    "askedBy"       text           NOT NULL REFERENCES "AdminUser" ("adminId"),
    "askedAt"       timestamptz(3) NOT NULL,
    CONSTRAINT "DocumentRequest_document_key" UNIQUE NULLS NOT DISTINCT ("profileId", type, side),
    CONSTRAINT "DocumentRequest_type_known" CHECK (type IN ('PASSPORT', 'NATIONAL_ID',
        'DRIVERS_LICENSE', 'PROOF_OF_ADDRESS', 'SELFIE_PHOTO')),
    CONSTRAINT "DocumentRequest_side_known" CHECK (side IN ('front', 'back'))
);
COMMENT ON TABLE "DocumentRequest" IS
    'Documents that a person under review may change. Writer: gx-documents; admin asks, identity ends what is met, and a decision, a closing and an erasure end all.';
CREATE INDEX "DocumentRequest_askedBy_idx" ON "DocumentRequest" ("askedBy");
-- step: decisions on documents
ALTER TABLE "KYCDocument"
    ADD COLUMN "reviewedBy"    text,
    ADD COLUMN "reviewedAt"    timestamptz(3),
    ADD COLUMN "reasonCode"    text,
    ADD COLUMN "publicComment" text,
    ADD CONSTRAINT "KYCDocument_reviewed_whole"
        CHECK (("reviewedBy" IS NULL) = ("reviewedAt" IS NULL)),
    ADD CONSTRAINT "KYCDocument_erased_without_comment"
        CHECK ("erasedAt" IS NULL OR "publicComment" IS NULL);
COMMENT ON COLUMN "KYCDocument"."reviewedBy" IS
    'Writer: admin. NULL also for a document that the scanner rejected.';
-- step: what the removal of expired rows and erasures look for
CREATE INDEX "ReviewClaim_leaseUntil_idx" ON "ReviewClaim" ("leaseUntil");
CREATE INDEX "AdminInvitation_expiresAt_idx" ON "AdminInvitation" ("expiresAt");
CREATE INDEX "Proposal_targetId_idx" ON "Proposal" ("targetId");
-- index: "UserProfile_legalHold_idx"
CREATE INDEX CONCURRENTLY IF NOT EXISTS "UserProfile_legalHold_idx"
    ON "UserProfile" ("profileId") WHERE "legalHoldAt" IS NOT NULL;
