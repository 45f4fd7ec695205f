-- A table of a service that exists only in these tests.
create table accounts (
    id bigint not null,
    balance bigint not null,
    constraint accounts_pkey primary key (id),
    constraint accounts_balance_not_negative check (balance >= 0)
);
