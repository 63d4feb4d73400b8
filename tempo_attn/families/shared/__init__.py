"""What several families have in common: processors, chats, batches, optional parts."""
