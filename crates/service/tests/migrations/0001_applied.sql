-- What the consumer of the tests did, in the order it did it.
create table applied (
    n bigint generated always as identity,
    aggregate_id text not null,
    aggregate_version bigint not null,
    constraint applied_pkey primary key (n)
);
