-- One account for each mailbox, and people who are found in any form of their name.

-- step: the mailbox of an address that is stored in another spelling
-- The address itself stays: a Fabric User ID has a checksum of it. `gx db migrate` fills the
-- column, for SQL has no UTS 46. NULL where the address is in its form, which is that of every
-- new row, and where another account has the mailbox.
ALTER TABLE "UserProfile" ADD COLUMN mailbox text;
-- step: how names and searches are compared
-- The same as gx_serve::characters::search_form: compatible forms, both cases and the two small
-- sigmas (962 and 963) are one, and what nobody can see is left out. ICU's lower() and Rust's agree on every letter; that of the
-- database's own locale need not, and is used where PostgreSQL was built without ICU. What is plain
-- ASCII, most rows, is compared inside the query.
CREATE FUNCTION "SearchForm_beyondAscii"(given text) RETURNS text
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
BEGIN
    -- Joiners, and the selectors of Mongolian letters and of ideographs.
    given := translate(given, chr(8204) || chr(8205) || chr(6155) || chr(6156) || chr(6157)
                              || chr(6158) || chr(6159), '');
    IF given ~ '[\uFE00-\uFE0F\U000E0100-\U000E01EF]' THEN
        given := regexp_replace(given, '[\uFE00-\uFE0F\U000E0100-\U000E01EF]', '', 'g');
    END IF;
    IF to_regcollation('"und-x-icu"') IS NULL THEN
        RETURN replace(lower(normalize(given, NFKC)), chr(962), chr(963));
    END IF;
    RETURN replace(lower(normalize(given, NFKC) COLLATE "und-x-icu"), chr(962), chr(963));
END $$;
CREATE FUNCTION "SearchForm"(given text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN octet_length(given) = length(given) THEN lower(given COLLATE "C")
                ELSE "SearchForm_beyondAscii"(given) END
$$;
-- index: "UserProfile_mailbox_key"
-- Every address was unique and every mailbox is NULL, so that nothing collides yet.
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "UserProfile_mailbox_key"
    ON "UserProfile" ((coalesce(mailbox, email)));
