-- The portal's own tables, for those who start without them. A portal that has them skips this file; nothing here alters
-- a table that exists. Safe to run again.
--
-- Row Level Security is enabled and no policy is given: which doctor may see what is the portal's business. The sync
-- connects as the tables' owner (or a role with BYPASSRLS, such as Supabase's postgres and service_role), whom no policy
-- stops as long as FORCE ROW LEVEL SECURITY is not set.

CREATE TABLE IF NOT EXISTS public.aligner_doctors (
  dr_id serial PRIMARY KEY,
  doctor_name varchar(100) NOT NULL,
  doctor_email varchar(255) UNIQUE,
  logo_path varchar(100),
  created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.patients (
  person_id integer PRIMARY KEY,
  patient_id varchar(6),
  patient_name varchar(255),
  first_name varchar(255),
  last_name varchar(255),
  phone varchar(255),
  created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now()
);

CREATE TABLE IF NOT EXISTS public.work (
  work_id integer PRIMARY KEY,
  person_id integer REFERENCES public.patients (person_id),
  type_of_work integer,
  addition_date timestamptz,
  created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now()
);
CREATE INDEX IF NOT EXISTS work_person_id_idx ON public.work (person_id);

CREATE TABLE IF NOT EXISTS public.aligner_sets (
  aligner_set_id serial PRIMARY KEY,
  work_id integer NOT NULL,
  aligner_dr_id integer NOT NULL REFERENCES public.aligner_doctors (dr_id),
  set_sequence integer,
  type varchar(50),
  upper_aligners_count integer DEFAULT 0,
  lower_aligners_count integer DEFAULT 0,
  remaining_upper_aligners integer DEFAULT 0,
  remaining_lower_aligners integer DEFAULT 0,
  creation_date date,
  days integer,
  is_active boolean DEFAULT true,
  notes varchar(255),
  folder_path varchar(255),
  set_url varchar(2000),
  set_pdf_url varchar(2000),
  set_cost decimal(10,2),
  currency varchar(3),
  pdf_uploaded_at timestamptz,
  pdf_uploaded_by varchar(255),
  drive_file_id varchar(255),
  created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now()
);
CREATE INDEX IF NOT EXISTS aligner_sets_work_id_idx ON public.aligner_sets (work_id);
CREATE INDEX IF NOT EXISTS aligner_sets_aligner_dr_id_idx ON public.aligner_sets (aligner_dr_id);

CREATE TABLE IF NOT EXISTS public.aligner_batches (
  aligner_batch_id serial PRIMARY KEY,
  aligner_set_id integer NOT NULL REFERENCES public.aligner_sets (aligner_set_id) ON DELETE CASCADE,
  batch_sequence integer,
  upper_aligner_count integer DEFAULT 0,
  lower_aligner_count integer DEFAULT 0,
  upper_aligner_start_sequence integer,
  upper_aligner_end_sequence integer,
  lower_aligner_start_sequence integer,
  lower_aligner_end_sequence integer,
  manufacture_date date,
  delivered_to_patient_date date,
  days integer,
  validity_period integer,
  batch_expiry_date date,
  notes varchar(255),
  is_active boolean DEFAULT true,
  created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now()
);
CREATE INDEX IF NOT EXISTS aligner_batches_aligner_set_id_idx ON public.aligner_batches (aligner_set_id);

-- Both sides insert notes. The clinic's keys count up from 1; the portal's count down from -1, so that they never meet.
CREATE SEQUENCE IF NOT EXISTS public.aligner_notes_portal_note_id_seq
  AS integer INCREMENT BY -1 MINVALUE -2147483648 MAXVALUE -1 START WITH -1;

CREATE TABLE IF NOT EXISTS public.aligner_notes (
  note_id integer PRIMARY KEY DEFAULT nextval('public.aligner_notes_portal_note_id_seq'),
  aligner_set_id integer NOT NULL REFERENCES public.aligner_sets (aligner_set_id) ON DELETE CASCADE,
  note_type varchar(20) CHECK (note_type IN ('Doctor', 'Lab')),
  note_text text NOT NULL,
  created_at timestamptz DEFAULT now(),
  is_edited boolean DEFAULT false,
  edited_at timestamptz,
  is_read boolean DEFAULT false
);
CREATE INDEX IF NOT EXISTS aligner_notes_aligner_set_id_idx ON public.aligner_notes (aligner_set_id);

DO $$
BEGIN
  -- Whoever may insert a note needs its next key.
  IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'authenticated') THEN
    GRANT USAGE ON SEQUENCE public.aligner_notes_portal_note_id_seq TO authenticated;
  END IF;
END
$$;

CREATE TABLE IF NOT EXISTS public.aligner_set_payments (
  aligner_set_id integer PRIMARY KEY REFERENCES public.aligner_sets (aligner_set_id),
  total_paid decimal(10,2),
  balance decimal(10,2),
  payment_status varchar(20) CHECK (payment_status IN ('Unpaid', 'Partial', 'Paid'))
);

CREATE OR REPLACE FUNCTION public.sync_touch_updated_at() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  NEW.updated_at := now();
  RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER touch_updated_at BEFORE UPDATE ON public.aligner_doctors
  FOR EACH ROW EXECUTE FUNCTION public.sync_touch_updated_at();
CREATE OR REPLACE TRIGGER touch_updated_at BEFORE UPDATE ON public.patients
  FOR EACH ROW EXECUTE FUNCTION public.sync_touch_updated_at();
CREATE OR REPLACE TRIGGER touch_updated_at BEFORE UPDATE ON public.work
  FOR EACH ROW EXECUTE FUNCTION public.sync_touch_updated_at();
CREATE OR REPLACE TRIGGER touch_updated_at BEFORE UPDATE ON public.aligner_sets
  FOR EACH ROW EXECUTE FUNCTION public.sync_touch_updated_at();
CREATE OR REPLACE TRIGGER touch_updated_at BEFORE UPDATE ON public.aligner_batches
  FOR EACH ROW EXECUTE FUNCTION public.sync_touch_updated_at();

ALTER TABLE public.aligner_doctors ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.patients ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.work ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.aligner_sets ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.aligner_batches ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.aligner_notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.aligner_set_payments ENABLE ROW LEVEL SECURITY;
