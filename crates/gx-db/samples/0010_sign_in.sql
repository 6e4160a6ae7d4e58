INSERT INTO "SignInFailure" ("addressHash", failures, "lastFailedAt", "blockedUntil")
VALUES (decode(repeat('01', 32), 'hex'), 1, '2026-03-01', NULL),
       (decode(repeat('02', 32), 'hex'), 5, '2026-03-01', '2026-03-01 00:00:30');
