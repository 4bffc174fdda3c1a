import type { Service } from '@modelpress/service';
import { Module, type DynamicModule } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, APP_PIPE } from '@nestjs/core';
import { ArtifactsController } from './artifacts/artifacts.controller';
import { AccessGuard } from './common/access';
import { IdempotencyInterceptor } from './common/idempotency.interceptor';
import { ProblemFilter } from './common/problem.filter';
import { ValidationPipe } from './common/validation.pipe';
import type { ApiConfig } from './config';
import { DatasetsController } from './datasets/datasets.controller';
import { EventsController } from './events/events.controller';
import { HealthController } from './health/health.controller';
import { JobsController } from './jobs/jobs.controller';
import { ModelsController } from './models/models.controller';
import { ProjectsController } from './projects/projects.controller';
import { QueueController } from './queue/queue.controller';
import { RecipesController } from './recipes/recipes.controller';
import { ReportsController } from './reports/reports.controller';
import { StageRunsController } from './stage-runs/stage-runs.controller';
import { StagesController } from './stages/stages.controller';
import { API_CONFIG, SERVICE } from './tokens';
import { Importer } from './uploads/importer';

@Module({
  controllers: [
    ArtifactsController,
    DatasetsController,
    EventsController,
    HealthController,
    JobsController,
    ModelsController,
    ProjectsController,
    QueueController,
    RecipesController,
    ReportsController,
    StageRunsController,
    StagesController,
  ],
})
export class ApiModule {
  static with(service: Service, config: ApiConfig): DynamicModule {
    return {
      module: ApiModule,
      providers: [
        { provide: SERVICE, useValue: service },
        { provide: API_CONFIG, useValue: config },
        { provide: APP_GUARD, useClass: AccessGuard },
        { provide: APP_INTERCEPTOR, useClass: IdempotencyInterceptor },
        { provide: APP_PIPE, useClass: ValidationPipe },
        { provide: APP_FILTER, useClass: ProblemFilter },
        Importer,
      ],
    };
  }
}
