"""Operations on customer records of every type."""
