UPDATE "UserProfile" SET mailbox = 'bob@example.com' WHERE "profileId" = 'participant';
