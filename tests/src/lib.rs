//! One test target a promise, against the real PostgreSQL.
