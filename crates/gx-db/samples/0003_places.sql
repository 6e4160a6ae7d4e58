-- A freeze of a person whose creation this database has not applied, an owner who is known by the
-- command, and a task under way.
INSERT INTO "LedgerUser" ("fabricUserId", "isFrozen", "freezeSeenAt")
VALUES ('MY 000 AUN617 0UMCP 7983', true, now());
UPDATE "LedgerUser" SET "createdCommandId" = 'create' WHERE "profileId" = 'participant';
UPDATE "ProjectorTask" SET progress = '{}' WHERE "taskId" = 'done';
