"""The ``crm`` command: ``main`` lists the commands, ``frame`` is what they share, one module per group of them."""
