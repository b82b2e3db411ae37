/**
 * What the portal does to the sync's own writes, by a row that faults change: fail with an SQLSTATE, so often; or take so many
 * seconds. And a note that the portal will never take: a rule that the clinic does not have.
 */
export const MOODS = `
CREATE TABLE chaos.mood (sqlstate text, share float NOT NULL DEFAULT 0, seconds float NOT NULL DEFAULT 0);
INSERT INTO chaos.mood DEFAULT VALUES;
CREATE FUNCTION chaos.have_a_mood() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  mood chaos.mood;
BEGIN
  SELECT * INTO mood FROM chaos.mood;
  IF mood.seconds > 0 THEN
    PERFORM pg_sleep(mood.seconds);
  END IF;
  IF random() < mood.share THEN
    RAISE EXCEPTION 'chaos' USING ERRCODE = mood.sqlstate;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER have_a_mood BEFORE INSERT OR UPDATE OF clinic_version ON sync.row_state
FOR EACH ROW WHEN (coalesce(current_setting('sync.applying', true), '') = 'on') EXECUTE FUNCTION chaos.have_a_mood();
ALTER TABLE public.aligner_notes ADD CONSTRAINT chaos_poison CHECK (note_text NOT LIKE 'poison%');
`
