"""What a language model needs: checkpoints, prompts, masks, generated text."""
