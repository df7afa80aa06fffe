-- What signs of fraud are derived from: the orders that were placed (number 0) and their payments, with whose they are. A
-- person's orders lie in several partitions, so nothing here says that something is a sign of several of them: a query
-- derives it from all of these rows by their time.
create table fraud_signals_g1 (
    order_id     uuid        not null,
    at           timestamptz,
    amount       bigint      not null,
    partition    smallint    not null,
    number       smallint    not null,
    high_value   boolean     not null,
    retryable    boolean,
    currency     text        not null,
    subject      text        not null,
    failure_code text,
    primary key (order_id, number)
) with (fillfactor = 70);

comment on column fraud_signals_g1.at is 'business time: when the order was placed, or when the payment failed first; null: it did not fail';
comment on column fraud_signals_g1.subject is 'whose: customer:<id>, or order:<id> where no customer is known; nothing personal by itself';

-- The failed payments of some time, and of one person in some time.
create index fraud_signals_g1_failed on fraud_signals_g1 (at, order_id, number) where number > 0 and at is not null;
create index fraud_signals_g1_failed_of on fraud_signals_g1 (subject, at, order_id, number)
    where number > 0 and at is not null;
create index fraud_signals_g1_high_value on fraud_signals_g1 (at, order_id, number) where high_value;

select add_read_model('fraud_signals', 1, 'fraud_signals');
