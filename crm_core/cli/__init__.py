"""The ``crm`` command: ``main`` lists the commands, ``running`` has what they share; one module for each group."""
