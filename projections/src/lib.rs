//! Live projection workers and the read models of Docket.
