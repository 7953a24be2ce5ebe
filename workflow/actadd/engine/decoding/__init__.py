"""Drawing tokens: settings and noise, the sampler, passes with a cache, generation."""
