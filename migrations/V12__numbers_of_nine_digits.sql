-- The form of numbers that the program reads (domain/number.rs) and that are taken over from the original system (V3):
-- three to nine digits behind the day. Without an upper bound a row could be stored that nobody can read.
alter table orders
    drop constraint orders_number_form,
    add constraint orders_number_form check (
        number like 'ORD\_%' and substr(number, 13, 1) = '_' and length(number) between 16 and 22
        and translate(number, '0123456789', '') = 'ORD__'
    );
