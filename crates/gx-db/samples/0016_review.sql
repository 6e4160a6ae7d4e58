UPDATE "UserProfile" SET "reviewSince" = now(), "reviewStoppedAt" = now(), "legalHoldAt" = now(),
    "legalHoldBy" = 'admin', "closedAt" = now()
WHERE "profileId" = 'participant';
INSERT INTO "ReviewClaim" ("profileId", "adminId", "leaseUntil")
VALUES ('participant', 'admin', now());
INSERT INTO "Proposal" ("proposalId", act, "targetId", arguments, texts, "proposedBy", "proposedAt",
    "expiresAt", state, "decidedBy", "decidedAt")
VALUES ('open', 'APPROVE', 'participant', '{}', '{"notes": "a text"}', 'admin', now(), now(), 'OPEN',
        NULL, NULL),
       ('rejected', 'PAUSE', 'SYSTEM', '{}', NULL, 'admin', now(), now(), 'REJECTED', 'admin', now()),
       ('expired', 'PAUSE', 'SYSTEM', '{}', NULL, 'admin', now(), now(), 'EXPIRED', NULL, now());
INSERT INTO "AdminInvitation" ("adminId", "expiresAt") VALUES ('admin', now());
INSERT INTO "DocumentRequest" ("profileId", type, side, "publicComment", "askedBy", "askedAt")
VALUES ('participant', 'PASSPORT', NULL, NULL, 'admin', now()),
       ('participant', 'NATIONAL_ID', 'back', 'a text', 'admin', now());
UPDATE "KYCDocument" SET status = 'REJECTED', "reviewedBy" = 'admin', "reviewedAt" = now(),
    "reasonCode" = 'UNREADABLE', "publicComment" = 'a text'
WHERE "documentId" = 'encrypted';
